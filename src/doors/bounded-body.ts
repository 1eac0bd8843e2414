/**
 * Reads a request's body as far as it may go.
 * @param limit octets.
 * @returns the body, empty if there is none; null if it is larger. Of a larger one no more than a chunk beyond the limit is read,
 *   and nothing at all where it declares its length.
 */
export async function readAtMost(request: Request, limit: number): Promise<Uint8Array | null> {
  if (Number(request.headers.get("Content-Length") ?? 0) > limit) return null;
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.byteLength;
    if (size > limit) {
      await reader.cancel();
      return null;
    }
    chunks.push(value);
  }
  return Buffer.concat(chunks, size);
}
