/** One server-sent event. */
export interface ServerEvent {
  event: string;
  data: string;
}

/** The events of a stream, as they come. The standard's parser, but for ids and retry times, which nobody sends. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.getReader();
  const text = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) {
        return;
      }
      const blocks = (rest + text.decode(value, { stream: true })).split(/\r?\n\r?\n/);
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const found = parsed(block);
        if (found !== null) {
          yield found;
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function parsed(block: string): ServerEvent | null {
  let event = "message";
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const at = line.indexOf(":");
    if (at > 0) {
      const value = line.slice(at + 1).replace(/^ /, "");
      if (line.slice(0, at) === "event") {
        event = value;
      } else if (line.slice(0, at) === "data") {
        data.push(value);
      }
    }
  }
  return data.length > 0 ? { event, data: data.join("\n") } : null;
}
