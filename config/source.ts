/** Reads a file as text; a relative path is relative to the project, `~` is the operator's home. Throws if it cannot. */
export type ReadFile = (path: string) => string;

/** Where config comes from. Keys are without the project's namespace. */
export interface ConfigSource {
  /** The text of a key; undefined if it is not set. An empty text counts as not set. */
  get(key: string): string | undefined;
  /** The parsed value of a structured key; undefined if it is not set. May throw on text that is not JSON. */
  getObject(key: string): unknown;
  /** All keys that are set, if the source knows them, so that unknown keys are rejected. */
  keys?(): readonly string[];
  /** Whether a key's value is encrypted, if the source knows, so that unencrypted secrets are rejected. */
  isEncrypted?(key: string): boolean;
}
