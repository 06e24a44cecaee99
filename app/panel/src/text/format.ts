/** How numbers and moments are written in Bolivia; a moment always in the clinic's time zone. */
const LOCALE = "es-BO";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const oneDecimal = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });
const twoDecimals = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 2 });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" });

export function number(value: number): string {
  return whole.format(value);
}

export function percent(value: number): string {
  return `${oneDecimal.format(value)} %`;
}

/** A size in MiB, in the largest unit that leaves something before the comma. */
export function megabytes(value: number): string {
  if (value >= 1024) {
    return `${twoDecimals.format(value / 1024)} GB`;
  }
  return value >= 1 ? `${oneDecimal.format(value)} MB` : `${whole.format(Math.ceil(value * 1024))} kB`;
}

export function bytes(value: number): string {
  return megabytes(value / 2 ** 20);
}

export function seconds(value: number): string {
  if (value < 60) {
    return `${oneDecimal.format(value)} s`;
  }
  const minutes = Math.floor(value / 60);
  return `${minutes} min ${whole.format(Math.floor(value % 60))} s`;
}

/** US dollars; less than a cent is said so, since it is never nothing. */
export function dollars(value: number): string {
  if (value > 0 && value < 0.01) {
    return "menos de 0,01 USD";
  }
  return `${new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value)} USD`;
}

/** «hace 3 horas», «en 20 minutos», «ayer». */
export function ago(moment: string, now: number): string {
  const passed = new Date(moment).getTime() - now;
  const size = Math.abs(passed);
  if (size < MINUTE) {
    return passed > 0 ? "en un momento" : "hace un momento";
  }
  if (size < HOUR) {
    return relative.format(Math.trunc(passed / MINUTE), "minute");
  }
  if (size < DAY) {
    return relative.format(Math.trunc(passed / HOUR), "hour");
  }
  if (size < 60 * DAY) {
    return relative.format(Math.trunc(passed / DAY), "day");
  }
  return relative.format(Math.trunc(passed / (30 * DAY)), "month");
}

/** Writes moments in one time zone. */
export class Clock {
  private readonly dateTime: Intl.DateTimeFormat;
  private readonly day: Intl.DateTimeFormat;
  private readonly time: Intl.DateTimeFormat;
  private readonly weekday: Intl.DateTimeFormat;
  private readonly isoDay: Intl.DateTimeFormat;

  constructor(readonly timeZone: string) {
    const zone = { timeZone, hourCycle: "h23" } as const;
    this.dateTime = new Intl.DateTimeFormat(LOCALE, {
      ...zone,
      day: "numeric",
      month: "short",
      year: "numeric",
      hour: "2-digit",
      minute: "2-digit",
    });
    this.day = new Intl.DateTimeFormat(LOCALE, { timeZone, day: "numeric", month: "long", year: "numeric" });
    this.time = new Intl.DateTimeFormat(LOCALE, { ...zone, hour: "2-digit", minute: "2-digit" });
    this.weekday = new Intl.DateTimeFormat(LOCALE, { timeZone, weekday: "long" });
    this.isoDay = new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" });
  }

  /** «3 jul 2026, 02:00». */
  full(moment: string): string {
    return this.dateTime.format(new Date(moment));
  }

  /** «02:00». */
  hour(moment: string): string {
    return this.time.format(new Date(moment));
  }

  /** «hoy a las 02:00», «ayer a las 02:00», «el domingo a las 02:00», «el 3 de julio de 2026». */
  spoken(moment: string, now: number): string {
    const days = this.daysBetween(moment, now);
    const at = `a las ${this.hour(moment)}`;
    if (days === 0) {
      return `hoy ${at}`;
    }
    if (days === 1) {
      return `ayer ${at}`;
    }
    return days < 7 && days > 0 ? `el ${this.weekday.format(new Date(moment))} ${at}` : `el ${this.date(moment)}`;
  }

  /** The same, without the hour: «hoy», «ayer», «el domingo», «el 3 de julio de 2026». */
  spokenDay(moment: string, now: number): string {
    const days = this.daysBetween(moment, now);
    if (days === 0 || days === 1) {
      return days === 0 ? "hoy" : "ayer";
    }
    return days < 7 && days > 0 ? `el ${this.weekday.format(new Date(moment))}` : `el ${this.date(moment)}`;
  }

  /** «las 10:00», or «el 3 jul 2026, 02:00» where `moment` is another day. */
  since(since: string, moment: string): string {
    return this.daysBetween(since, new Date(moment).getTime()) === 0 ? `las ${this.hour(since)}` : `el ${this.full(since)}`;
  }

  /** «sin cambios desde el respaldo de las 10:00», or «… del 3 jul 2026, 02:00». */
  unchanged(since: string, moment: string): string {
    return `sin cambios desde el respaldo de ${this.since(since, moment)}`.replace(" de el ", " del ");
  }

  /** «3 de julio de 2026». */
  date(moment: string): string {
    return this.day.format(new Date(moment));
  }

  /** Local days from then until now. */
  daysBetween(moment: string, now: number): number {
    const day = (date: Date): number => Date.parse(`${this.isoDay.format(date)}T00:00:00Z`) / DAY;
    return day(new Date(now)) - day(new Date(moment));
  }
}

/** A day without time («2026-07-03»), as people write it: «3 de julio». */
export function calendarDay(day: string): string {
  return new Intl.DateTimeFormat(LOCALE, { timeZone: "UTC", day: "numeric", month: "long" }).format(
    new Date(`${day}T00:00:00Z`),
  );
}

/** «1 registro», «15.000 registros». */
export function count(value: number, one: string, many: string): string {
  return `${number(value)} ${value === 1 ? one : many}`;
}
