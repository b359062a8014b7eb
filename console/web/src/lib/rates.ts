// Rates from counters that only grow (and restart at 0 with their program).

export interface Sample {
  at: number; // ms
  in: number; // bytes since the start
  out: number;
}

export interface Rate {
  at: number;
  in: number; // bytes a second
  out: number;
}

export const MAX_SAMPLES = 60;

/** 'samples' with 's' added, the oldest beyond MAX_SAMPLES dropped. */
export function addSample(samples: Sample[], s: Sample): Sample[] {
  const last = samples[samples.length - 1];
  if (last && s.at <= last.at) return samples;
  return [...samples, s].slice(-MAX_SAMPLES);
}

/** What flowed between each two samples.  A counter that went back was
 * restarted: what it shows now flowed since. */
export function ratesOf(samples: Sample[]): Rate[] {
  const rates: Rate[] = [];
  for (let i = 1; i < samples.length; i++) {
    const a = samples[i - 1]!;
    const b = samples[i]!;
    const s = (b.at - a.at) / 1000;
    const flow = (x: number, y: number) => (y >= x ? y - x : y) / s;
    rates.push({ at: b.at, in: flow(a.in, b.in), out: flow(a.out, b.out) });
  }
  return rates;
}

/** Points of a line for an SVG of width 'w' and height 'h'. */
export function sparkline(values: number[], w: number, h: number, max: number): string {
  if (values.length < 2) return "";
  const dx = w / (MAX_SAMPLES - 2);
  const x0 = w - dx * (values.length - 1);
  const top = Math.max(max, 1);
  return values
    .map((v, i) => {
      const x = x0 + dx * i;
      const y = h - 1.5 - (v / top) * (h - 3);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}
