/** The state of a stack while it changes: what this run has made, and what is left of the last one. */
import { isDeepStrictEqual } from "util";
import type { OperationType, PendingOperation, ResourceState } from "./state/deployment";
import type { StateStore } from "./state/store";
import { formatProviderReference, parseProviderReference } from "./urn";

export class Snapshot {
  /** All resources of the last run, dependencies first. */
  readonly before: readonly ResourceState[];
  private readonly news: ResourceState[] = [];
  private readonly pending = new Set<PendingOperation>();
  /** Former URN → present URN, for references from resources that were not yet registered. */
  private readonly renamed = new Map<string, string>();
  private dirty = false;
  private lastWrite: Promise<void> = Promise.resolve();
  private nextWrite: Promise<void> | undefined;

  /**
   * @param remaining the resources of the last run, dependencies first
   * @param store where to write; undefined in previews
   */
  constructor(
    private remaining: ResourceState[],
    private readonly store: StateStore | undefined,
    hadPendingOperations = false,
  ) {
    this.before = remaining;
    this.dirty = hadPendingOperations;
  }

  /** The resources of the last run that are not yet superseded, dependencies first. */
  get olds(): readonly ResourceState[] {
    return this.remaining;
  }

  /** The live resource of a URN, made by this run or left from the last. */
  find(urn: string): ResourceState | undefined {
    return this.news.find((resource) => resource.urn === urn) ?? this.findOld(urn);
  }

  /** The live resource of a URN from the last run, if it is not yet superseded. */
  findOld(urn: string): ResourceState | undefined {
    return this.remaining.find((resource) => resource.urn === urn && !resource.delete);
  }

  /** The resource of a URN and an ID, also one that waits for its deletion. */
  findById(urn: string, id: string): ResourceState | undefined {
    return [...this.news, ...this.remaining].find((resource) => resource.urn === urn && resource.id === id);
  }

  /** Records that an operation begins; on disk before this resolves. */
  async begin(type: OperationType, resource: ResourceState): Promise<PendingOperation> {
    const operation = { type, resource };
    this.pending.add(operation);
    await this.write();
    return operation;
  }

  /** Records that an operation has ended, and what it did; on disk before this resolves. */
  async end(operation: PendingOperation, apply: () => void): Promise<void> {
    this.pending.delete(operation);
    apply();
    await this.write();
  }

  /** The resource as this run wants it; supersedes `old`. */
  put(resource: ResourceState, old?: ResourceState): void {
    if (old) this.supersede(old, resource.urn);
    this.news.push(resource);
    if (!old || !isSame(old, resource)) this.dirty = true;
  }

  /** The replacement of `old`, which waits for its deletion. */
  putReplacement(resource: ResourceState, old: ResourceState): void {
    if (old.pendingReplacement) this.supersede(old, resource.urn);
    else {
      old.delete = true;
      if (old.urn !== resource.urn) this.renamed.set(old.urn, resource.urn);
    }
    this.news.push(resource);
    this.dirty = true;
  }

  /** The resource is gone, its replacement not yet there. */
  markPendingReplacement(old: ResourceState): void {
    old.pendingReplacement = true;
    this.dirty = true;
  }

  remove(old: ResourceState): void {
    this.remaining = this.remaining.filter((resource) => resource !== old);
    this.dirty = true;
  }

  setOutputs(resource: ResourceState, outputs: ResourceState["outputs"]): void {
    if (!isSame(resource.outputs, outputs)) this.dirty = true;
    resource.outputs = outputs;
  }

  /** Writes what is not yet on disk. */
  async flush(): Promise<void> {
    if (this.dirty || this.nextWrite) await this.write();
    await this.lastWrite;
  }

  private supersede(old: ResourceState, urn: string): void {
    if (old.urn !== urn) this.renamed.set(old.urn, urn);
    this.remaining = this.remaining.filter((resource) => resource !== old);
  }

  /** Concurrent writes share one: a write that has not begun takes along all that was recorded until it begins. */
  private write(): Promise<void> {
    if (!this.store) return Promise.resolve();
    const store = this.store;
    this.nextWrite ??= this.lastWrite = this.lastWrite
      .catch(() => undefined)
      .then(() => {
        this.nextWrite = undefined;
        this.dirty = false;
        return store.write({
          resources: [...this.news, ...this.remaining].map((resource) => this.withPresentUrns(resource)),
          pendingOperations: [...this.pending],
        });
      });
    return this.nextWrite;
  }

  private withPresentUrns(resource: ResourceState): ResourceState {
    if (this.renamed.size === 0) return resource;
    const present = (urn: string): string => this.renamed.get(urn) ?? urn;
    const result = { ...resource };
    if (resource.parent) result.parent = present(resource.parent);
    if (resource.deletedWith) result.deletedWith = present(resource.deletedWith);
    if (resource.dependencies) result.dependencies = resource.dependencies.map(present);
    if (resource.provider) {
      const { urn, id } = parseProviderReference(resource.provider);
      result.provider = formatProviderReference(present(urn), id);
    }
    if (resource.propertyDependencies) {
      const lists = Object.entries(resource.propertyDependencies);
      result.propertyDependencies = Object.fromEntries(lists.map(([key, urns]) => [key, urns.map(present)]));
    }
    return result;
  }
}

/** Equality of what would be written. */
function isSame(a: unknown, b: unknown): boolean {
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));
  return isDeepStrictEqual(plain(a), plain(b));
}
