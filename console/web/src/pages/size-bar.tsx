// The size of user-data against what its provider takes, with both numbers.
import { bytes } from "../lib/format";
import { Bar } from "../ui/basic";

export function SizeBar({ size, limit, about }: { size: number; limit: number | null; about?: boolean }) {
  const over = limit !== null && size > limit;
  const text = `${about ? "about " : ""}${bytes(size)}`;
  return (
    <div class={`size-bar${over ? " over" : ""}`}>
      <div class="meter-head">
        <span>User-data</span>
        <span class="num">
          <strong>{text}</strong>
          {limit !== null ? ` of ${bytes(limit)} that the provider takes` : "; the provider’s limit is not known"}
        </span>
      </div>
      {limit !== null && <Bar value={size} max={limit} label="Size of the user-data" tone={over || size / limit > 0.9 ? "full" : ""} />}
      {over && <p class="field-error">Too large: the provider would refuse it, or cut it off.</p>}
    </div>
  );
}
