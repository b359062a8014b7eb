// The serial console of a VM: what it printed lately, then live both ways.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { useEffect, useRef, useState } from "preact/hooks";
import { BASE, get } from "../api/client";
import type { Vm } from "../api/types";
import { allowStyles } from "../lib/csp_styles";
import { startVm } from "../state/actions";
import { canOperate } from "../state/session";
import { Button, IconButton } from "../ui/basic";
import { saveText } from "../ui/save";

type LinkState = "connecting" | "open" | "closed" | "log";

const LOG_BYTES = 65536;

const colours = {
  background: "#0a0c12",
  foreground: "#d6dae4",
  cursor: "#7dd3fc",
  selectionBackground: "#334155",
  black: "#1c2030",
  brightBlack: "#77809a",
  red: "#f87171",
  green: "#4ade80",
  yellow: "#facc15",
  blue: "#7aa2f7",
  magenta: "#c4a7ff",
  cyan: "#67e8f9",
  white: "#d6dae4",
  brightWhite: "#ffffff",
};

export default function Serial({ vm }: { vm: Vm }) {
  const box = useRef<HTMLDivElement>(null);
  const terminal = useRef<Terminal | null>(null);
  const leave = useRef<HTMLButtonElement>(null);
  const [state, setState] = useState<LinkState>("connecting");
  const [error, setError] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);
  const [big, setBig] = useState(false);
  const live = vm.state === "running" || vm.state === "migrating" || vm.state === "starting";
  const interactive = canOperate.value && live;
  const logFor = useRef(-1); // The attempt whose log is on the screen.

  useEffect(() => {
    allowStyles();
    const term = new Terminal({
      convertEol: false,
      cursorBlink: true,
      fontFamily: '"JetBrains Mono Variable", ui-monospace, monospace',
      fontSize: 13,
      lineHeight: 1.25,
      scrollback: 5000,
      screenReaderMode: true,
      theme: colours,
    });
    const fit = new FitAddon();
    term.loadAddon(fit);
    term.open(box.current!);
    term.attachCustomKeyEventHandler((e) => {
      // Tab belongs to the guest, so another key must lead out.
      if (e.type === "keydown" && e.key === "Escape" && e.shiftKey) {
        leave.current?.focus();
        return false;
      }
      return true;
    });
    terminal.current = term;
    const refit = () => fit.fit();
    const observer = new ResizeObserver(refit);
    observer.observe(box.current!);
    void document.fonts.load('13px "JetBrains Mono Variable"').then(refit, refit);
    return () => {
      observer.disconnect();
      term.dispose();
      terminal.current = null;
    };
  }, []);

  useEffect(() => {
    const term = terminal.current!;
    const stop = new AbortController();
    let socket: WebSocket | null = null;
    let keys: { dispose(): void } | null = null;
    setError(null);
    setState("connecting");
    const open = () => {
      if (stop.signal.aborted) return;
      if (!interactive) {
        setState("log");
        return;
      }
      const scheme = location.protocol === "https:" ? "wss:" : "ws:";
      socket = new WebSocket(`${scheme}//${location.host}${BASE}/vms/${encodeURIComponent(vm.id)}/console`);
      socket.binaryType = "arraybuffer";
      const mine = socket;
      socket.onopen = () => {
        setState("open");
        // Who came by keyboard keeps the focus where it is.
        if (!document.activeElement?.matches(":focus-visible")) term.focus();
      };
      socket.onmessage = (e: MessageEvent<ArrayBuffer | string>) =>
        term.write(typeof e.data === "string" ? e.data : new Uint8Array(e.data));
      socket.onclose = (e) => {
        if (stop.signal.aborted) return;
        setState("closed");
        if (e.reason) setError(e.reason);
      };
      const utf8 = new TextEncoder();
      keys = term.onData((data) => {
        if (mine.readyState === WebSocket.OPEN) mine.send(utf8.encode(data));
      });
    };
    // After a move what is on the screen stays.
    const again = logFor.current === attempt && interactive;
    const path = `/vms/${encodeURIComponent(vm.id)}/console-log?bytes=${LOG_BYTES}`;
    const log = again ? Promise.resolve(null) : get<{ data: string }>(path, stop.signal);
    log.then(
      (r) => {
        if (stop.signal.aborted) return;
        logFor.current = attempt;
        if (r) {
          term.reset();
          // A log may have bare line feeds where the guest's tty added nothing.
          term.write(r.data.replace(/\r?\n/g, "\r\n"));
        } else {
          term.write(`\r\n\x1b[2m— now on ${vm.node_name ?? "another node"} —\x1b[0m\r\n`);
        }
        open();
      },
      (e: Error) => {
        if (stop.signal.aborted) return;
        setError(e.message);
        open();
      },
    );
    return () => {
      stop.abort();
      keys?.dispose();
      // Closing one that is not open yet would be reported as an error.
      if (socket?.readyState === WebSocket.CONNECTING) {
        const late = socket;
        late.onopen = () => late.close();
      } else socket?.close();
    };
  }, [vm.id, vm.node, attempt, interactive]);

  useEffect(() => {
    if (!big) return undefined;
    document.body.classList.add("no-scroll");
    return () => document.body.classList.remove("no-scroll");
  }, [big]);

  const save = async () => {
    try {
      const log = await get<{ data: string }>(`/vms/${encodeURIComponent(vm.id)}/console-log`);
      saveText(`${vm.name}-console.txt`, log.data);
    } catch (e) {
      setError((e as Error).message);
    }
  };

  const text: Record<LinkState, string> = {
    connecting: "Connecting…",
    open: "Connected",
    closed: "Disconnected",
    log: live ? "Read only: your role may not type here" : `The VM is ${vm.state}: this is what it printed last`,
  };
  return (
    <div class={`serial${big ? " big" : ""}`}>
      <div class="serial-head">
        <span class={`connection ${state === "open" ? "live" : state === "connecting" ? "connecting" : "off"}`} role="status">
          <span class="dot" aria-hidden="true" />
          {text[state]}
        </span>
        <span class="serial-hint">
          <kbd>Shift</kbd> <kbd>Esc</kbd> leaves the console
        </span>
        <div class="serial-tools">
          {state === "closed" && (
            <Button small icon="refresh" onClick={() => setAttempt((n) => n + 1)}>
              Connect again
            </Button>
          )}
          {vm.state === "stopped" && canOperate.value && (
            <Button small icon="play" onClick={() => void startVm(vm.id)}>
              Start
            </Button>
          )}
          <IconButton icon="download" label="Save the log" onClick={() => void save()} />
          <button
            ref={leave}
            type="button"
            class="icon-button"
            aria-label="Fill the window"
            aria-pressed={big}
            title="Fill the window"
            onClick={() => setBig(!big)}
          >
            <svg class="icon" width="17" height="17" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
              <path d={big ? "M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5" : "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"} />
            </svg>
          </button>
        </div>
      </div>
      {error && (
        <p class="serial-error" role="alert">
          {error}
        </p>
      )}
      <div class="serial-box" ref={box} role="group" aria-label={`Serial console of ${vm.name}`} />
    </div>
  );
}
