// Who is logged in, and what the role allows.
import { computed, signal } from "@preact/signals";
import {
  ApiError,
  get,
  login,
  logout,
  setCsrf,
  setUnauthorizedHandler,
} from "../api/client";
import type { Role, Session } from "../api/types";
import * as store from "./store";
import { notices } from "./notices";

/** undefined: not known yet; null: nobody. */
export const session = signal<Session | null | undefined>(undefined);
/** Why the login page is shown, where there is a reason to tell. */
export const loginReason = signal<string | null>(null);

const ranks: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };
const may = (role: Role): boolean =>
  !!session.value && (ranks[session.value.role] ?? 0) >= ranks[role];

/** May change VMs, images and networks. */
export const canOperate = computed(() => may("operator"));
/** May add and remove nodes. */
export const canAdminister = computed(() => may("admin"));

function enter(s: Session): void {
  setCsrf(s.csrf);
  session.value = s;
  loginReason.value = null;
  store.start();
}

function leave(reason: string | null): void {
  if (session.value === null) return;
  store.stop();
  setCsrf("");
  notices.value = [];
  loginReason.value = reason;
  session.value = null;
}

/** Looks whether the browser still has a session. */
export async function resume(): Promise<void> {
  setUnauthorizedHandler(() =>
    leave(session.value ? "Your session is over. Log in again." : null),
  );
  try {
    enter(await get<Session>("/session"));
  } catch (e) {
    if (session.value === null) return;
    leave(e instanceof ApiError && e.status === 401 ? null : (e as Error).message);
  }
}

export async function logIn(user: string, password: string): Promise<void> {
  enter(await login(user, password));
}

/** Rejects, still logged in, if the server could not be told. */
export async function logOut(): Promise<void> {
  try {
    await logout();
  } catch (e) {
    if (!(e instanceof ApiError) || e.status !== 401) throw e;
  }
  leave(null);
}
