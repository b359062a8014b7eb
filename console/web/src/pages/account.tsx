// One's own password and sessions; for administrators, all users.
import { useEffect, useState } from "preact/hooks";
import { del, get, post, request } from "../api/client";
import type { Role } from "../api/types";
import { nameError } from "../lib/placement";
import { say } from "../state/notices";
import { canAdminister, session } from "../state/session";
import { Alert, Button, IconButton, PageHead, Panel, Time } from "../ui/basic";
import { Confirm, FormDialog } from "../ui/dialog";
import { SelectField, TextField } from "../ui/field";
import { LoadingRows } from "../ui/table";

interface SessionInfo {
  id: string;
  kind: "web" | "token";
  user: string;
  name: string;
  created_at: number;
  used_at: number;
  expires_at: number;
  current?: boolean;
}

interface User {
  user: string;
  role: Role;
  created_at: number;
}

const MIN_PASSWORD = 8;

const passwordError = (p: string): string | null =>
  [...p].length < MIN_PASSWORD ? `At least ${MIN_PASSWORD} characters.` : null;

/** A list from the API that is fetched again when 'mark' changes. */
function useList<T>(path: string, key: string, mark: number): [T[] | null, string | null] {
  const [list, setList] = useState<T[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    get<Record<string, T[]>>(path, stop.signal).then(
      (r) => {
        setList(r[key] ?? []);
        setError(null);
      },
      (e: Error) => e.name === "ApiError" && setError(e.message),
    );
    return () => stop.abort();
  }, [path, mark]);
  return [list, error];
}

export function AccountPage() {
  const [changing, setChanging] = useState(false);
  const me = session.value!;
  return (
    <>
      <PageHead title={me.user} lead={`You are ${me.role === "viewer" ? "a" : "an"} ${me.role} of this cloud.`}>
        <Button icon="key" onClick={() => setChanging(true)}>
          Change the password
        </Button>
      </PageHead>
      <Sessions />
      {canAdminister.value && <Users />}
      {changing && <ChangePassword onClose={() => setChanging(false)} />}
    </>
  );
}

function ChangePassword({ onClose }: { onClose: () => void }) {
  const [old, setOld] = useState("");
  const [next, setNext] = useState("");
  const [again, setAgain] = useState("");
  return (
    <FormDialog
      title="Change the password"
      submit="Change"
      onClose={onClose}
      onSubmit={async () => {
        await post("/password", { old, new: next });
        say("The password is changed; other sessions are ended");
        onClose();
      }}
    >
      <TextField label="Present password" type="password" autocomplete="current-password" value={old} onValue={setOld} error={old === "" ? "Give the present password." : null} data-first="" />
      <TextField label="New password" type="password" autocomplete="new-password" value={next} onValue={setNext} error={passwordError(next)} hint={`At least ${MIN_PASSWORD} characters.`} />
      <TextField label="New password again" type="password" autocomplete="new-password" value={again} onValue={setAgain} error={again === next ? null : "The two are not the same."} />
    </FormDialog>
  );
}

function Sessions() {
  const [mark, setMark] = useState(0);
  const [list, error] = useList<SessionInfo>("/sessions", "sessions", mark);
  const [failed, setFailed] = useState<string | null>(null);
  const revoke = async (s: SessionInfo) => {
    setFailed(null);
    try {
      await del(`/sessions/${encodeURIComponent(s.id)}`);
      setMark((n) => n + 1);
    } catch (e) {
      setFailed((e as Error).message);
    }
  };
  return (
    <Panel title="Sessions and API tokens">
      {(error ?? failed) && <Alert>{error ?? failed}</Alert>}
      {!list && !error && <LoadingRows n={2} />}
      <ul class="items">
        {(list ?? []).map((s) => (
          <li key={s.id}>
            <div class="two grow">
              <span>
                {s.kind === "token" ? "API token" : "Browser"}
                {s.name && ` ${s.name}`} {s.current && <span class="tag">this one</span>}
              </span>
              <small>
                {s.user}, begun <Time at={s.created_at} />
              </small>
            </div>
            <div class="two right">
              <span>
                Used <Time at={s.used_at} />
              </span>
              <small>
                Ends <Time at={s.expires_at} />
              </small>
            </div>
            <IconButton
              icon="trash"
              tone="danger"
              label={`End ${s.kind === "token" ? "API token" : "session"} of ${s.user} ${s.name || s.id.slice(0, 6)}`}
              disabled={!!s.current}
              onClick={() => void revoke(s)}
            />
          </li>
        ))}
      </ul>
    </Panel>
  );
}

const roles: { value: Role; text: string }[] = [
  { value: "viewer", text: "Viewer: sees everything" },
  { value: "operator", text: "Operator: VMs, images, networks" },
  { value: "admin", text: "Admin: nodes and users, too" },
];

function Users() {
  const [mark, setMark] = useState(0);
  const [list, error] = useList<User>("/users", "users", mark);
  const [edit, setEdit] = useState<User | "new" | null>(null);
  const [gone, setGone] = useState<User | null>(null);
  const again = () => setMark((n) => n + 1);
  return (
    <Panel
      title="Users"
      aside={
        <Button small icon="plus" onClick={() => setEdit("new")}>
          Add a user
        </Button>
      }
    >
      {error && <Alert>{error}</Alert>}
      {!list && !error && <LoadingRows n={2} />}
      <ul class="items">
        {(list ?? []).map((u) => (
          <li key={u.user}>
            <div class="two grow">
              <strong>{u.user}</strong>
              <small>
                {u.role}, since <Time at={u.created_at} />
              </small>
            </div>
            <Button small onClick={() => setEdit(u)}>
              Edit<span class="hidden"> {u.user}</span>
            </Button>
            <IconButton icon="trash" tone="danger" label={`Delete ${u.user}`} disabled={u.user === session.value?.user} onClick={() => setGone(u)} />
          </li>
        ))}
      </ul>
      {edit && (
        <EditUser
          user={edit === "new" ? null : edit}
          taken={(list ?? []).map((u) => u.user)}
          onClose={() => setEdit(null)}
          onDone={() => {
            setEdit(null);
            again();
          }}
        />
      )}
      {gone && (
        <Confirm
          title={`Delete ${gone.user}?`}
          submit={`Delete ${gone.user}`}
          onClose={() => setGone(null)}
          onSubmit={async () => {
            await del(`/users/${encodeURIComponent(gone.user)}`);
            setGone(null);
            again();
          }}
        >
          <p>All sessions and API tokens of {gone.user} end at once. What they made stays.</p>
        </Confirm>
      )}
    </Panel>
  );
}

function EditUser({
  user,
  taken,
  onClose,
  onDone,
}: {
  user: User | null;
  taken: string[];
  onClose: () => void;
  onDone: () => void;
}) {
  const [name, setName] = useState(user?.user ?? "");
  const [role, setRole] = useState<Role>(user?.role ?? "operator");
  const [password, setPassword] = useState("");
  return (
    <FormDialog
      title={user ? `Edit ${user.user}` : "Add a user"}
      submit={user ? "Save" : "Add"}
      onClose={onClose}
      onSubmit={async () => {
        if (user)
          await request("PUT", `/users/${encodeURIComponent(user.user)}`, {
            role,
            ...(password ? { password } : {}),
          });
        else await post("/users", { user: name, role, password });
        say(user ? `${user.user} is changed` : `${name} may log in now`);
        onDone();
      }}
    >
      {!user && <TextField label="Name" value={name} onValue={setName} autocapitalize="none" maxLength={63} error={nameError(name, taken)} data-first="" />}
      <SelectField label="Role" value={role} onValue={(r) => setRole(r as Role)} options={roles} first={!!user} />
      <TextField
        label={user ? "New password" : "Password"}
        optional={!!user}
        type="password"
        autocomplete="new-password"
        value={password}
        onValue={setPassword}
        error={user && password === "" ? null : passwordError(password)}
        hint={user ? "Left empty, it stays as it is." : `At least ${MIN_PASSWORD} characters; they can change it.`}
      />
    </FormDialog>
  );
}
