// Image uploads.  They go on while the user looks at other pages.
import { signal } from "@preact/signals";
import { ApiError, del, post, putFile } from "../api/client";
import type { Image, ImageKind, Kind, Provider, Published } from "../api/types";
import { say } from "./notices";
import { forget, remember } from "./store";

export interface NewImage {
  name: string;
  kind: ImageKind;
  kernel?: string;
  ramdisk?: string;
  cmdline?: string;
  min_memory_mib?: number;
}

export interface Upload {
  image: string; // Its id.
  name: string;
  provider: string | null; // Where it is published; null: an image for VMs.
  size: number;
  sent: number;
  started_at: number; // ms
  error: string | null;
  cancel: () => void;
}

export const uploads = signal<Upload[]>([]);

/** Files up to this size (bytes) are hashed in the page, so that the
 * controller can tell a damaged copy; hashing needs the file in memory. */
const MAX_HASHED = 256 * 1024 * 1024;

const set = (id: string, change: Partial<Upload>): void => {
  uploads.value = uploads.value.map((u) => (u.image === id ? { ...u, ...change } : u));
};

export const dropUpload = (id: string): void => {
  uploads.value = uploads.value.filter((u) => u.image !== id);
};

async function sha256(file: Blob): Promise<string | undefined> {
  if (!window.isSecureContext || file.size > MAX_HASHED) return undefined;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Registers the image and begins the upload.  Resolves when the upload has
 * begun; its outcome shows in 'uploads'.  Rejects if the name is refused. */
export async function upload(spec: NewImage, file: File): Promise<void> {
  const digest = await sha256(file);
  const image = await post<Image>("/images", {
    ...spec,
    size: file.size,
    ...(digest ? { sha256: digest } : {}),
  });
  remember("image", image);
  send({ kind: "image", id: image.id, name: spec.name, path: `/images/${encodeURIComponent(image.id)}`, file });
}

/** The same for an image that a provider gets; 'manifest' is what the API takes
 * of its manifest.json. */
export async function uploadPublished(provider: Provider, manifest: Record<string, unknown>, file: File): Promise<void> {
  const base = `/providers/${encodeURIComponent(provider.id)}/images`;
  const image = await post<Published>(base, manifest);
  remember("provider-image", image);
  send({
    kind: "provider-image",
    id: image.id,
    name: image.name,
    path: `${base}/${encodeURIComponent(image.id)}`,
    file,
    provider: provider.id,
  });
}

function send(u: { kind: Kind; id: string; name: string; path: string; file: File; provider?: string }): void {
  const abort = new AbortController();
  uploads.value = [
    ...uploads.value,
    {
      image: u.id,
      name: u.name,
      provider: u.provider ?? null,
      size: u.file.size,
      sent: 0,
      started_at: Date.now(),
      error: null,
      cancel: () => abort.abort(),
    },
  ];
  window.addEventListener("beforeunload", warn);
  putFile(`${u.path}/file`, u.file, (sent) => set(u.id, { sent }), abort.signal)
    .then(
      () => {
        dropUpload(u.id);
        say(`Image ${u.name} uploaded`);
      },
      (e: Error) => {
        if (u.provider) {
          // Such an image waits for another try, with the reason; one that
          // was cancelled is not wanted.
          if (abort.signal.aborted) void removeCancelled(u.path);
        } else {
          // The controller removes an image whose upload was cut short; one
          // whose first byte never reached it, it would keep as queued.
          if (e instanceof ApiError && e.status === 0) del(u.path).catch(() => {});
          forget(u.kind, u.id);
        }
        if (abort.signal.aborted) dropUpload(u.id);
        else set(u.id, { error: e.message });
      },
    )
    .finally(() => {
      if (!uploads.value.some((x) => x.error === null))
        window.removeEventListener("beforeunload", warn);
    });
}

/** The controller may still be busy with the bytes that came; if all of them had
 * come, it publishes the image first. */
async function removeCancelled(path: string): Promise<void> {
  for (let i = 0; i < 400; i++) {
    try {
      await del(path);
      return;
    } catch (e) {
      if (!(e instanceof ApiError) || e.status !== 409) return;
    }
    await new Promise((f) => window.setTimeout(f, 300));
  }
}

function warn(e: BeforeUnloadEvent): void {
  e.preventDefault();
}
