/** The Engine service: where a program logs. */
import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import type { LogRequest, RequirePulumiVersionRequest, SetRootResourceRequest } from "@pulumi/pulumi/proto/engine_pb";
import type { Display } from "../display";
import type { Executor } from "../executor";
import { urnName } from "../urn";
import { Empty, engineMessages, grpc, StatusError, unary } from "./protocol";

export function engineService(display: Display, executor: Executor): UntypedServiceImplementation {
  let root = "";
  return {
    log: unary((request: LogRequest) => {
      const { DEBUG, INFO, WARNING } = engineMessages.LogSeverity;
      const severity = request.getSeverity();
      const name = request.getUrn() ? urnName(request.getUrn()) : "";
      // What a program says after the run was stopped is but that its engine has left it.
      if (severity === DEBUG || executor.isStopped) display.message("debug", name, request.getMessage());
      else if (severity === INFO) display.message("info", name, request.getMessage());
      else if (severity === WARNING) display.message("warning", name, request.getMessage());
      else display.message("error", name, request.getMessage());
      return new Empty();
    }),
    getRootResource: unary(() => {
      const response = new engineMessages.GetRootResourceResponse();
      response.setUrn(root);
      return response;
    }),
    setRootResource: unary((request: SetRootResourceRequest) => {
      root = request.getUrn();
      return new engineMessages.SetRootResourceResponse();
    }),
    startDebugging: unary(() => {
      throw new StatusError(grpc.status.UNIMPLEMENTED, "the rehearsal engine does not support debugging");
    }),
    requirePulumiVersion: unary((request: RequirePulumiVersionRequest) => {
      const range = request.getPulumiVersionRange();
      const message = `the rehearsal engine does not check versions of the Pulumi CLI ("${range}" is required)`;
      throw new StatusError(grpc.status.UNIMPLEMENTED, message);
    }),
  };
}
