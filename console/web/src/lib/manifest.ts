// The manifest.json that images/build writes beside an image.  Pure.

export interface Manifest {
  file: string;
  format: string;
  size: number | null; // Bytes of the file; null: it does not say.
  virtual_size: number;
  sha256: string;
  boot: string | null;
  distro: string | null;
  provider: string | null;
  kernel: string | null;
  xen: string | null;
}

const text = (o: Record<string, unknown>, key: string): string | null =>
  typeof o[key] === "string" && o[key] !== "" ? (o[key] as string) : null;

const size = (o: Record<string, unknown>, key: string): number | null =>
  typeof o[key] === "number" && Number.isSafeInteger(o[key]) && (o[key] as number) > 0 ? (o[key] as number) : null;

/** The manifest, or what is wrong with it in words. */
export function parseManifest(json: string): Manifest | string {
  let v: unknown;
  try {
    v = JSON.parse(json);
  } catch {
    return "This is not JSON. Choose the manifest.json that was made with the image.";
  }
  if (typeof v !== "object" || v === null || Array.isArray(v)) return "This is not a manifest: no object.";
  const o = v as Record<string, unknown>;
  const file = text(o, "file");
  const format = text(o, "format");
  const sha256 = text(o, "sha256");
  const virtual = size(o, "virtual_size");
  if (!file) return "This is not a manifest: it names no file.";
  if (!format) return "The manifest does not say the format.";
  if (!sha256 || !/^[0-9a-f]{64}$/i.test(sha256)) return "The manifest has no SHA-256 digest.";
  if (virtual === null) return "The manifest does not say the virtual size.";
  return {
    file,
    format,
    size: size(o, "size"),
    virtual_size: virtual,
    sha256: sha256.toLowerCase(),
    boot: text(o, "boot"),
    distro: text(o, "distro"),
    provider: text(o, "provider"),
    kernel: text(o, "kernel"),
    xen: text(o, "xen"),
  };
}

/** Why 'file' is not the image of this manifest; null: it may be. */
export function fileError(m: Manifest, file: { name: string; size: number }, format: string): string | null {
  if (m.format !== format)
    return `This provider takes ${format} images, and the manifest is of a ${m.format} image${m.provider ? ` for ${m.provider}` : ""}.`;
  if (m.size !== null && m.size !== file.size)
    return `The file has ${file.size} bytes, and the manifest says ${m.size}.`;
  if (m.file !== file.name) return `The manifest is of ${m.file}, not of ${file.name}.`;
  return null;
}

/** What POST /providers/{id}/images takes. */
export function createParams(m: Manifest, name: string, region: string, fileSize: number): Record<string, unknown> {
  return {
    ...(name ? { name } : {}),
    region,
    format: m.format,
    file: m.file,
    size: fileSize,
    virtual_size: m.virtual_size,
    sha256: m.sha256,
    ...(m.boot ? { boot: m.boot } : {}),
    ...(m.distro ? { distro: m.distro } : {}),
  };
}
