/** At least so many characters go into one chunk, but for the last one. */
const CHUNK_CHARACTERS = 64 * 1024;

/**
 * A stream of text that is made while it is read, at the reader's pace. What `lines` throws becomes the stream's error: the answer
 * breaks off, and nobody takes what came for the whole.
 * @param lines each with the line break at its end.
 * @returns their bytes in UTF-8, once the first line is there: what is wrong from the beginning is thrown here, while the answer
 *   can still say so.
 */
export async function lineStream(lines: AsyncGenerator<string, void, undefined>): Promise<ReadableStream<Uint8Array>> {
  const encoder = new TextEncoder();
  let next = await lines.next();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      let text = "";
      while (!next.done && text.length < CHUNK_CHARACTERS) {
        text += next.value;
        next = await lines.next();
      }
      if (text !== "") controller.enqueue(encoder.encode(text));
      if (next.done) controller.close();
    },
    async cancel() {
      await lines.return();
    },
  });
}
