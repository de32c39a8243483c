/** Cuts output that comes in chunks into lines. */
export class OutputLines {
  private rest = "";

  constructor(private readonly emit: (line: string) => void) {}

  add(chunk: string): void {
    const lines = (this.rest + chunk).split("\n");
    this.rest = lines.pop()!;
    lines.forEach((line) => this.emit(line));
  }

  /** Emits a last line that has no newline. */
  end(): void {
    if (this.rest) this.emit(this.rest);
    this.rest = "";
  }
}
