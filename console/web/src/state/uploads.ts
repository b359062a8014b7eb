// Image uploads.  They go on while the user looks at other pages.
import { signal } from "@preact/signals";
import { ApiError, del, post, putImageFile } from "../api/client";
import type { Image, ImageKind } from "../api/types";
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
  const abort = new AbortController();
  uploads.value = [
    ...uploads.value,
    {
      image: image.id,
      name: spec.name,
      size: file.size,
      sent: 0,
      started_at: Date.now(),
      error: null,
      cancel: () => abort.abort(),
    },
  ];
  window.addEventListener("beforeunload", warn);
  putImageFile(image.id, file, (sent) => set(image.id, { sent }), abort.signal)
    .then(
      () => {
        dropUpload(image.id);
        say(`Image ${spec.name} uploaded`);
      },
      (e: Error) => {
        // The controller removes an image whose upload was cut short; one
        // whose first byte never reached it, it would keep as queued.
        if (e instanceof ApiError && e.status === 0) del(`/images/${image.id}`).catch(() => {});
        forget("image", image.id);
        if (abort.signal.aborted) dropUpload(image.id);
        else set(image.id, { error: e.message });
      },
    )
    .finally(() => {
      if (!uploads.value.some((u) => u.error === null))
        window.removeEventListener("beforeunload", warn);
    });
}

function warn(e: BeforeUnloadEvent): void {
  e.preventDefault();
}
