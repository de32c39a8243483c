/** A stack's state file. */
import { createHash } from "crypto";
import { mkdir, open, readFile, rename } from "fs/promises";
import { dirname, join } from "path";
import { DEPLOYMENT_VERSION, PendingOperation, ResourceState, UntypedDeployment } from "./deployment";
import { Crypter, passphraseFromEnvironment } from "./passphrase";
import { newCiphertextCache, openResource, sealResource } from "./seal";

/** A stack's resources in memory, with open secrets. */
export interface StackState {
  resources: ResourceState[];
  pendingOperations: PendingOperation[];
}

export class StateStore {
  private readonly cache = newCiphertextCache();
  private crypter: Crypter | undefined;

  /**
   * @param file the state file
   * @param configSalt the stack's `encryptionsalt`, if its config file has one: state and config then share the key
   * @param version the version of Pulumi that the state is written as (that of the SDK)
   */
  constructor(
    readonly file: string,
    private readonly configSalt: string | undefined,
    private readonly version: string,
  ) {}

  static path(directory: string, stack: string): string {
    return join(directory, `${stack}.json`);
  }

  /** Undefined when the stack has no state yet. */
  async readSealed(): Promise<UntypedDeployment | undefined> {
    let text: string;
    try {
      text = await readFile(this.file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    const document = JSON.parse(text) as UntypedDeployment;
    if (document.version !== DEPLOYMENT_VERSION) {
      throw new Error(`${this.file} has deployment version ${document.version}; only 3 is supported`);
    }
    return document;
  }

  /** The state with its secrets decrypted; empty when there is none. Throws on a wrong passphrase. */
  async read(): Promise<StackState> {
    const deployment = (await this.readSealed())?.deployment;
    const provider = deployment?.secrets_providers;
    if (provider && provider.type !== "passphrase") {
      throw new Error(`${this.file} is encrypted by "${provider.type}"; only "passphrase" is supported`);
    }
    const passphrase = await passphraseFromEnvironment();
    const salt = provider?.state?.salt;
    const stateCrypter = salt ? await Crypter.open(passphrase, salt) : undefined;
    if (!this.configSalt || this.configSalt === salt) {
      this.crypter = stateCrypter ?? (await Crypter.create(passphrase));
    } else {
      this.crypter = await Crypter.open(passphrase, this.configSalt);
    }
    const opener = stateCrypter ?? this.crypter;
    // The ciphertexts of another key must not be written again.
    const cache = opener === this.crypter ? this.cache : newCiphertextCache();
    return {
      resources: (deployment?.resources ?? []).map((resource) => openResource(resource, opener, cache)),
      pendingOperations: (deployment?.pending_operations ?? []).map((operation) => ({
        ...operation,
        resource: openResource(operation.resource, opener, cache),
      })),
    };
  }

  /** Writes the state so that a crash at any moment leaves the old or the new file whole. Needs `read` before. */
  async write(state: StackState): Promise<void> {
    // Before the first await: the caller goes on changing the resources.
    const text = JSON.stringify(this.seal(state), undefined, 4) + "\n";
    await mkdir(dirname(this.file), { recursive: true, mode: 0o700 });
    const temporary = `${this.file}.new`;
    const handle = await open(temporary, "w", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, this.file);
    const directory = await open(dirname(this.file), "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  private seal(state: StackState): UntypedDeployment {
    const crypter = this.crypter;
    if (!crypter) throw new Error("the state was not read before it is written");
    const version = `v${this.version}`;
    return {
      version: DEPLOYMENT_VERSION,
      deployment: {
        manifest: {
          time: new Date().toISOString(),
          magic: createHash("sha256").update(version).digest("hex"),
          version,
        },
        secrets_providers: { type: "passphrase", state: { salt: crypter.salt } },
        resources: state.resources.map((resource) => sealResource(resource, crypter, this.cache)),
        ...(state.pendingOperations.length > 0 && {
          pending_operations: state.pendingOperations.map((operation) => ({
            resource: sealResource(operation.resource, crypter, this.cache),
            type: operation.type,
          })),
        }),
        metadata: {},
      },
    };
  }
}
