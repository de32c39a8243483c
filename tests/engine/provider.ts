/** The command provider's plugin, asked by gRPC as the engine asks it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import type * as Grpc from "@grpc/grpc-js";
import type { LogRequest } from "@pulumi/pulumi/proto/engine_pb";
import type { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import type * as Messages from "@pulumi/pulumi/proto/provider_pb";
import { specialSecretSig, specialSigKey, unknownValue } from "@pulumi/pulumi/runtime/rpc";
import type * as EmptyMessages from "google-protobuf/google/protobuf/empty_pb";
import type * as StructMessages from "google-protobuf/google/protobuf/struct_pb";
import { commandProvider } from "./cli";

// The very modules that the SDK loads: a second copy of protobuf does not know its messages.
const fromSdk = createRequire(require.resolve("@pulumi/pulumi/package.json"));
const grpc = fromSdk("@grpc/grpc-js") as typeof Grpc;
const { Empty } = fromSdk("google-protobuf/google/protobuf/empty_pb.js") as typeof EmptyMessages;
const { Struct } = fromSdk("google-protobuf/google/protobuf/struct_pb.js") as typeof StructMessages;
const messages = fromSdk("./proto/provider_pb.js") as typeof Messages;
const { EngineService } = fromSdk("./proto/engine_grpc_pb.js") as { EngineService: Grpc.ServiceDefinition };
const provider = fromSdk("./proto/provider_grpc_pb.js") as { ResourceProviderClient: typeof ResourceProviderClient };

export type Props = Record<string, unknown>;

export const UNKNOWN = unknownValue;
export const secret = (value: unknown): Props => ({ [specialSigKey]: specialSecretSig, value });

interface Difference {
  changed: boolean;
  /** Paths of what changed, those that replace with ` replaces` behind. */
  paths: string[];
}

/** What the engine knows of a resource. */
interface State {
  id: string;
  inputs: Props;
  outputs: Props;
}

const struct = (props: Props) => Struct.fromJavaScript(props as Parameters<typeof Struct.fromJavaScript>[0]);
const plain = (value: StructMessages.Struct | undefined) => (value?.toJavaScript() ?? {}) as Props;

interface Named {
  setUrn(urn: string): void;
  setName(name: string): void;
  setType(type: string): void;
}

interface Old {
  setId(id: string): void;
  setOldInputs(inputs: StructMessages.Struct): void;
}

/** A running plugin, for resources of one type and of the name `a`. */
export class Provider {
  /** What it has had the engine show, in order. */
  readonly shown: string[] = [];
  private client!: ResourceProviderClient;
  private child!: ChildProcess;
  private readonly engine = new grpc.Server();

  constructor(private readonly type: "command:local:Command" | "command:remote:Command") {}

  private get urn(): string {
    return `urn:pulumi:test::project::${this.type}::a`;
  }

  async start(environment: Record<string, string> = {}): Promise<void> {
    this.engine.addService(EngineService, {
      log: (call: { request: LogRequest }, done: Grpc.sendUnaryData<EmptyMessages.Empty>) => {
        this.shown.push(call.request.getMessage());
        done(null, new Empty());
      },
    });
    const credentials = grpc.ServerCredentials.createInsecure();
    const enginePort = await new Promise<number>((resolve, reject) =>
      this.engine.bindAsync("127.0.0.1:0", credentials, (error, port) => (error ? reject(error) : resolve(port))),
    );
    this.child = spawn(commandProvider(), [`127.0.0.1:${enginePort}`], {
      env: { ...process.env, SSH_AUTH_SOCK: "", ...environment },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const port = await new Promise<string>((resolve, reject) => {
      createInterface(this.child.stdout!).once("line", resolve);
      this.child.once("error", reject).once("exit", (code) => reject(new Error(`the plugin ended with ${code}`)));
    });
    this.client = new provider.ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    const request = new messages.ConfigureRequest();
    request.setAcceptsecrets(true);
    request.setSendsOldInputs(true);
    request.setSendsOldInputsToDelete(true);
    request.setArgs(struct({}));
    await this.ask((done) => this.client.configure(request, done));
  }

  async stop(): Promise<void> {
    this.client.close();
    this.engine.forceShutdown();
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGKILL");
    await ended;
  }

  /** The inputs as the provider keeps them. Rejects with what is wrong with them. */
  async check(inputs: Props): Promise<Props> {
    const request = this.named(new messages.CheckRequest());
    request.setOlds(struct({}));
    request.setNews(struct(inputs));
    const response = await this.ask<Messages.CheckResponse>((done) => this.client.check(request, done));
    const failures = response.getFailuresList();
    if (failures.length > 0) {
      throw new Error(failures.map((failure) => `${failure.getProperty()}: ${failure.getReason()}`).join("\n"));
    }
    return plain(response.getInputs());
  }

  async create(given: Props, preview = false): Promise<State> {
    const inputs = await this.check(given);
    const request = this.named(new messages.CreateRequest());
    request.setProperties(struct(inputs));
    request.setPreview(preview);
    const response = await this.ask<Messages.CreateResponse>((done) => this.client.create(request, done));
    return { id: response.getId(), inputs, outputs: plain(response.getProperties()) };
  }

  async update(old: State, given: Props, preview = false): Promise<State> {
    const inputs = await this.check(given);
    const request = this.of(old, new messages.UpdateRequest());
    request.setOlds(struct(old.outputs));
    request.setNews(struct(inputs));
    request.setPreview(preview);
    const response = await this.ask<Messages.UpdateResponse>((done) => this.client.update(request, done));
    return { id: old.id, inputs, outputs: plain(response.getProperties()) };
  }

  async diff(old: State, given: Props, ignored: string[] = []): Promise<Difference> {
    const request = this.of(old, new messages.DiffRequest());
    request.setOlds(struct(old.outputs));
    request.setNews(struct(await this.check(given)));
    request.setIgnorechangesList(ignored);
    const response = await this.ask<Messages.DiffResponse>((done) => this.client.diff(request, done));
    const replacing = response.getReplacesList();
    const paths: string[] = [];
    response.getDetaileddiffMap().forEach((_, path) => {
      paths.push(replacing.includes(path) ? `${path} replaces` : path);
    });
    return { changed: response.getChanges() === messages.DiffResponse.DiffChanges.DIFF_SOME, paths: paths.sort() };
  }

  async delete(old: State): Promise<void> {
    const request = this.of(old, new messages.DeleteRequest());
    request.setProperties(struct(old.outputs));
    await this.ask((done) => this.client.delete(request, done));
  }

  async cancel(): Promise<void> {
    await this.ask((done) => this.client.cancel(new Empty(), done));
  }

  /** A request about the resource. */
  private named<Request extends Named>(request: Request): Request {
    request.setUrn(this.urn);
    request.setName("a");
    request.setType(this.type);
    return request;
  }

  /** The same, of a resource that is there. */
  private of<Request extends Named & Old>(old: State, request: Request): Request {
    request.setId(old.id);
    request.setOldInputs(struct(old.inputs));
    return this.named(request);
  }

  private ask<Response>(call: (done: (error: Grpc.ServiceError | null, response: Response) => void) => void) {
    return new Promise<Response>((resolve, reject) =>
      call((error, response) => (error ? reject(new Error(error.details)) : resolve(response))),
    );
  }
}

/** What a request fails with. */
export async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("it did not fail");
}
