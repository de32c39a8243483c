/** What a config is read from. */

/** Reads a file as text; a relative path is relative to the project, `~` is the operator's home. Throws if it cannot. */
export type ReadFile = (path: string) => string;

/** Where config comes from. Keys are without the project's namespace. */
export interface ConfigSource {
  /** The text of a key; undefined if it is not set. An empty text counts as not set. */
  get(key: string): string | undefined;
  /** The parsed value of a structured key; undefined if it is not set. May throw on text that is no JSON. */
  getObject(key: string): unknown;
  /** All keys that are set, where the source knows: unknown ones are refused. */
  keys?(): readonly string[];
  /** Whether the stack's file has a key's value encrypted, where the source knows: secrets in plain are refused. */
  isEncrypted?(key: string): boolean;
}
