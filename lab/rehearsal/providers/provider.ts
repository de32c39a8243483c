/** What performs the resources of a type. */
import type { Change } from "../diff";
import type { ResourceState } from "../state/deployment";
import type { Props } from "../values";

/** What a running operation may use. */
export interface OperationContext {
  urn: string;
  name: string;
  /** Aborted when the operation has to end at once. */
  signal: AbortSignal;
  /** Shows a line of live output. */
  log(line: string): void;
  /** Shows a warning. */
  warn(message: string): void;
}

export interface Created {
  id: string;
  outputs: Props;
}

export interface Performer {
  /** The inputs as the provider keeps them, defaults filled in. Throws on an input that it does not perform. */
  check(inputs: Props, olds: Props | undefined, name: string): Props | Promise<Props>;
  /**
   * What changes, and what of it needs a new resource. Empty: nothing to do.
   * @param ignored paths whose changes do not count, as far as the provider looks at them itself
   */
  diff(old: ResourceState, inputs: Props, ignored?: readonly string[]): Change[];
  /** Whether the old resource has to go before its replacement can come, when the program does not say. */
  deletesBeforeReplace?(old: ResourceState, inputs: Props): boolean;
  /** The outputs that are to be expected of a create, or of an update of `old`; unknown ones as UNKNOWN. */
  preview(inputs: Props, old?: ResourceState): Props;
  create(context: OperationContext, inputs: Props): Promise<Created>;
  /** Returns the new outputs. */
  update(context: OperationContext, old: ResourceState, inputs: Props): Promise<Props>;
  delete(context: OperationContext, old: ResourceState): Promise<void>;
}
