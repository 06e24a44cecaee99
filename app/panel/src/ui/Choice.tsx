interface ChoiceProps<T extends string> {
  /** Of all the choices that exclude each other. */
  name: string;
  value: T;
  now: T;
  set: (value: T) => void;
  title: string;
  said: string;
}

/** One of a few ways to go on, with what it means. */
export function Choice<T extends string>({ name, value, now, set, title, said }: ChoiceProps<T>) {
  return (
    <label className="choice">
      <input type="radio" name={name} checked={value === now} onChange={() => set(value)} />
      <span>
        <strong>{title}</strong>
        <span className="muted">{said}</span>
      </span>
    </label>
  );
}
