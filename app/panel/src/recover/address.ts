/** What is looked for, and in the backups of how many days. */
export interface Wanted {
  texto: string;
  dias: number;
}

export const DAYS = [
  { dias: 7, said: "la última semana" },
  { dias: 30, said: "los últimos 30 días" },
  { dias: 90, said: "los últimos 3 meses" },
  { dias: 366, said: "todo el último año" },
];

const USUAL = 30;

export const NOTHING: Wanted = { texto: "", dias: USUAL };

/** What an address asks for; what it says that nobody could mean is left out. */
export function fromAddress(params: URLSearchParams): Wanted {
  const asked = Number(params.get("dias"));
  return {
    texto: params.get("buscar")?.trim() ?? "",
    dias: DAYS.find(({ dias }) => dias === asked)?.dias ?? USUAL,
  };
}

/** The same as an address, with the preview or restore that came of it, if any. */
export function toAddress({ texto, dias }: Wanted, restauracion: number | null = null): URLSearchParams {
  const params = new URLSearchParams();
  if (texto !== "") {
    params.set("buscar", texto);
  }
  if (dias !== USUAL) {
    params.set("dias", String(dias));
  }
  if (restauracion !== null) {
    params.set("restauracion", String(restauracion));
  }
  return params;
}
