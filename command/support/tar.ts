/** A tar archive (POSIX ustar) in memory. Names have at most 100 bytes. */

const block = 512;

export interface Entry {
  name: string;
  content: Buffer;
}

/** @param modified of all entries. */
export function tar(entries: readonly Entry[], modified: Date): Buffer {
  const parts = entries.flatMap(({ name, content }) => [
    header(name, content.length, modified),
    content,
    Buffer.alloc((block - (content.length % block)) % block),
  ]);
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function header(name: string, bytes: number, modified: Date): Buffer {
  const bytesOfName = Buffer.from(name);
  if (bytesOfName.length > 100) throw new Error(`the name ${name} is too long for the archive`);
  const made = Buffer.alloc(block);
  const octal = (value: number, at: number, width: number) =>
    made.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
  bytesOfName.copy(made);
  octal(0o600, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(bytes, 124, 12);
  octal(Math.floor(modified.getTime() / 1000), 136, 12);
  made.write("        ", 148, "latin1");
  made.write("0", 156, "latin1");
  made.write("ustar\x0000", 257, "latin1");
  const sum = made.reduce((a, b) => a + b, 0);
  made.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return made;
}
