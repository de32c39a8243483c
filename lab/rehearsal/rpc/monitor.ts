/** The ResourceMonitor service: where a program registers its resources. */
import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import type {
  ReadResourceRequest,
  RegisterResourceOutputsRequest,
  RegisterResourceRequest,
  ResourceInvokeRequest,
  SupportsFeatureRequest,
} from "@pulumi/pulumi/proto/resource_pb";
import type { Config } from "../config";
import { Terminated } from "../executor";
import { Goal, goalOf, ReadGoal, readGoalOf } from "../goal";
import type { ResourceState } from "../state/deployment";
import { Props, rejectUnsupported, UNKNOWN } from "../values";
import { Empty, grpc, resourceMessages, StatusError, Struct, unary } from "./protocol";

/** What of the protocol's optional features is performed, by the names of SupportsFeature. */
const FEATURES: Record<string, keyof typeof resourceMessages.ResourceMonitorFeature> = {
  secrets: "RESOURCE_MONITOR_FEATURE_SECRETS",
  resourceReferences: "RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES",
  outputValues: "RESOURCE_MONITOR_FEATURE_OUTPUT_VALUES",
  aliasSpecs: "RESOURCE_MONITOR_FEATURE_ALIAS_SPECS",
  deletedWith: "RESOURCE_MONITOR_FEATURE_DELETED_WITH",
};

export interface MonitorOptions {
  project: string;
  stack: string;
  organization: string;
  config: Config;
  dryRun: boolean;
  parallel: number;
  register(goal: Goal): Promise<ResourceState>;
  read(wanted: ReadGoal): Promise<ResourceState>;
  registerOutputs(urn: string, outputs: Props): void;
  find(urn: string): ResourceState | undefined;
  /** The program asked for something that cannot be done; the run fails. */
  refuse(message: string): void;
}

export function monitorService(options: MonitorOptions): UntypedServiceImplementation {
  const unsupported = (what: string) =>
    unary((request: object) => {
      const subject = subjectOf(request);
      throw translate(options, new Error(`the rehearsal engine does not support ${what}${subject}`));
    });
  return {
    getDeploymentInfo: unary(() => deploymentInfo(options)),
    supportsFeature: unary((request: SupportsFeatureRequest) => {
      const response = new resourceMessages.SupportsFeatureResponse();
      response.setHassupport(request.getId() in FEATURES);
      return response;
    }),
    registerResource: unary((request: RegisterResourceRequest) => register(options, request)),
    readResource: unary((request: ReadResourceRequest) => read(options, request)),
    registerResourceOutputs: unary((request: RegisterResourceOutputsRequest) => {
      const outputs = (request.getOutputs()?.toJavaScript() ?? {}) as Props;
      for (const [key, value] of Object.entries(outputs)) rejectUnsupported(value, key);
      options.registerOutputs(request.getUrn(), outputs);
      return new Empty();
    }),
    invoke: unary((request: ResourceInvokeRequest) => invoke(options, request)),
    signalAndWaitForShutdown: unary(() => new Empty()),
    call: unsupported("calls of methods"),
    existsResource: unsupported("asking whether resources exist"),
    registerStackTransform: unsupported("transforms"),
    registerStackInvokeTransform: unsupported("transforms of invokes"),
    registerResourceHook: unsupported("resource hooks"),
    registerErrorHook: unsupported("error hooks"),
    registerPackage: unsupported("parameterized packages"),
  };
}

async function register(options: MonitorOptions, request: RegisterResourceRequest): Promise<object> {
  const state = await refusing(options, async () => options.register(goalOf(request)));
  const response = new resourceMessages.RegisterResourceResponse();
  response.setUrn(state.urn);
  response.setId(state.id === UNKNOWN ? "" : (state.id ?? ""));
  response.setObject(structOf(state.outputs ?? {}));
  response.setResult(resourceMessages.Result.SUCCESS);
  return response;
}

async function read(options: MonitorOptions, request: ReadResourceRequest): Promise<object> {
  const state = await refusing(options, async () => options.read(readGoalOf(request)));
  const response = new resourceMessages.ReadResourceResponse();
  response.setUrn(state.urn);
  response.setProperties(structOf(state.outputs ?? {}));
  return response;
}

function structOf(props: Props): InstanceType<typeof Struct> {
  return Struct.fromJavaScript(props as Parameters<typeof Struct.fromJavaScript>[0]);
}

/** The one function that the SDK itself needs: it turns a reference to a resource into the resource. */
function invoke(options: MonitorOptions, request: ResourceInvokeRequest): object {
  return refusingSync(options, () => {
    const token = request.getTok();
    if (token !== "pulumi:pulumi:getResource") {
      throw new Error(`the rehearsal engine does not support invokes (${token})`);
    }
    const urn = String((request.getArgs()?.toJavaScript() as Props | undefined)?.urn);
    const state = options.find(urn);
    if (!state) throw new Error(`unknown resource ${urn}`);
    const response = new resourceMessages.ResourceInvokeResponse();
    response.setReturn(structOf({ urn, id: state.id ?? "", state: state.outputs ?? {} }));
    return response;
  });
}

/** The type and name, or the function, that a request is about. */
function subjectOf(request: object): string {
  const { getType, getName, getTok } = request as Partial<Record<"getType" | "getName" | "getTok", () => string>>;
  const parts = [getTok?.call(request), getType?.call(request), getName?.call(request)].filter(Boolean);
  return parts.length > 0 ? ` (${parts.join(" ")})` : "";
}

/** Once the run ends, programs get the status that makes them end quietly. */
function translate(options: MonitorOptions, error: Error): Error {
  if (error instanceof Terminated) return new StatusError(grpc.status.UNAVAILABLE, error.message);
  options.refuse(error.message);
  return new StatusError(grpc.status.UNAVAILABLE, new Terminated().message);
}

async function refusing<T>(options: MonitorOptions, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translate(options, error as Error);
  }
}

function refusingSync<T>(options: MonitorOptions, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw translate(options, error as Error);
  }
}

function deploymentInfo(options: MonitorOptions): object {
  const info = new resourceMessages.DeploymentInfo();
  info.setProject(options.project);
  info.setStack(options.stack);
  info.setOrganization(options.organization);
  info.setDryrun(options.dryRun);
  info.setParallel(options.parallel);
  for (const [key, value] of Object.entries(options.config.values)) info.getConfigMap().set(key, value);
  info.setConfigsecretkeysList(options.config.secretKeys);
  info.setSupportedfeaturesList(Object.values(FEATURES).map((name) => resourceMessages.ResourceMonitorFeature[name]));
  return info;
}
