// Uploads under way, and those that failed, as rows above a list.
import { bitRate, bytes } from "../lib/format";
import { now } from "../state/store";
import { dropUpload, uploads, type Upload } from "../state/uploads";
import { Bar, Button, IconButton } from "../ui/basic";
import { Icon } from "../ui/icons";

/** Of one provider's images, or (null) of images for VMs. */
export function Uploads({ provider }: { provider: string | null }) {
  return (
    <>
      {uploads.value.filter((u) => u.provider === provider).map((u) => (
        <UploadRow key={u.image} u={u} />
      ))}
    </>
  );
}

function UploadRow({ u }: { u: Upload }) {
  if (u.error)
    return (
      <div class="upload failed" role="alert">
        <Icon name="warn" />
        <div class="upload-text">
          <strong>{u.name} was not uploaded</strong>
          <span>{u.error} No part of it was kept.</span>
        </div>
        <IconButton icon="close" label="Dismiss" onClick={() => dropUpload(u.image)} />
      </div>
    );
  const seconds = (now.value - u.started_at) / 1000;
  return (
    <div class="upload">
      <Icon name="upload" />
      <div class="upload-text">
        <div class="upload-line">
          <strong>Uploading {u.name}</strong>
          <span class="num">
            {u.sent < u.size
              ? `${bytes(u.sent)} of ${bytes(u.size)}${seconds > 2 ? ` · ${bitRate(u.sent / seconds)}` : ""}`
              : "Checking it…"}
          </span>
        </div>
        <Bar value={u.sent} max={u.size} label={`Upload of ${u.name}`} tone="live" />
      </div>
      <Button small onClick={u.cancel}>
        Cancel
      </Button>
    </div>
  );
}
