/** Hides secrets in text. */
import { Props, secretTexts } from "./values";

/** Shorter ones are found by chance in any text. */
const SHORTEST_SECRET = 6;
/** A line of a multi-line secret is hidden when it looks like key material: long, and one word. */
const KEY_MATERIAL = /^[A-Za-z0-9+/=_:.-]{20,}$/;

export class Redactor {
  private readonly needles: string[];

  constructor(...properties: (Props | undefined)[]) {
    const texts = properties.flatMap((props) => (props ? secretTexts(props) : []));
    const needles = texts.flatMap((text) => {
      const lines = text.split("\n").map((line) => line.trim());
      const whole = text.trim();
      return lines.length === 1 ? [whole] : [whole, ...lines.filter((line) => KEY_MATERIAL.test(line))];
    });
    // The longest first: a secret may hold another.
    this.needles = [...new Set(needles)]
      .filter((needle) => needle.length >= SHORTEST_SECRET)
      .sort((a, b) => b.length - a.length);
  }

  redact(text: string): string {
    return this.needles.reduce((result, needle) => result.replaceAll(needle, "[secret]"), text);
  }
}
