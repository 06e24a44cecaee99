const UNSIGNED: Record<string, string> = { ł: "l", đ: "d", ø: "o", ħ: "h" };

/** A text without accents and capitals, as it is compared with what somebody types; as the service's `fold`. */
export function plain(text: string): string {
  const letters = text.normalize("NFKD").replaceAll(/\p{M}/gu, "");
  // `ß` and `ı` are other letters as capitals.
  return letters.toUpperCase().toLowerCase().replaceAll(/[łđøħ]/gu, (letter) => UNSIGNED[letter] ?? letter);
}
