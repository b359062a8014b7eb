import { useEffect, useRef, useState } from "preact/hooks";
import { logIn, loginReason } from "../state/session";
import { ThemeChoice } from "../app";
import { Alert, Button } from "../ui/basic";
import { TextField } from "../ui/field";
import { Logo } from "../ui/icons";

export function LoginPage() {
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => {
    document.title = "Log in · Supercloud";
    form.current?.querySelector("input")?.focus();
  }, []);

  const submit = async (e: Event) => {
    e.preventDefault();
    const empty = [...form.current!.querySelectorAll("input")].find((i) => i.value === "");
    if (empty) {
      setError("Give your user name and your password.");
      empty.focus();
      return;
    }
    setBusy(true);
    setError(null);
    try {
      await logIn(user, password);
    } catch (x) {
      setError((x as Error).message);
      setBusy(false);
      setPassword("");
      form.current?.querySelectorAll("input")[1]?.focus();
    }
  };

  return (
    <main class="login">
      <div class="login-art" aria-hidden="true">
        <svg viewBox="0 0 600 600" preserveAspectRatio="xMidYMid slice">
          <path class="orbit" d="M60 420 C180 120 420 120 540 400" />
          <path class="orbit" d="M60 420 C200 560 420 560 540 400" />
          <path class="orbit" d="M300 193 C250 330 262 440 298 523" />
          <path class="flow" d="M60 420 C180 120 420 120 540 400" />
          <path class="flow late" d="M540 400 C420 560 200 560 60 420" />
          <circle class="place" cx="60" cy="420" r="6" />
          <circle class="place" cx="540" cy="400" r="6" />
          <circle class="place" cx="300" cy="192.5" r="5" />
          <circle class="place" cx="298" cy="526" r="5" />
        </svg>
      </div>
      <div class="login-box">
        <div class="login-brand">
          <Logo size={40} />
          <div>
            <h1 tabIndex={-1}>Supercloud</h1>
            <p>One cloud over many providers</p>
          </div>
        </div>
        {loginReason.value && !error && <Alert tone="info">{loginReason.value}</Alert>}
        <form ref={form} onSubmit={submit} noValidate>
          <TextField
            label="User"
            name="username"
            autocomplete="username"
            autocapitalize="none"
            value={user}
            onValue={setUser}
          />
          <TextField
            label="Password"
            name="password"
            type="password"
            autocomplete="current-password"
            value={password}
            onValue={setPassword}
          />
          {error && <Alert>{error}</Alert>}
          <Button type="submit" tone="primary" busy={busy}>
            Log in
          </Button>
        </form>
        <p class="login-hint">
          The first password is printed on the controller’s serial console when it sets itself up.
        </p>
        <ThemeChoice />
      </div>
    </main>
  );
}
