import { EventSourceParserStream, type EventSourceMessage } from "eventsource-parser/stream";

/** The events of a stream, as they come. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<EventSourceMessage> {
  const text = new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>;
  // Not every browser goes through a stream by `for await`.
  const reader = body.pipeThrough(text).pipeThrough(new EventSourceParserStream()).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) {
        return;
      }
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
