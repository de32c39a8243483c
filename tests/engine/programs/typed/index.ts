import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const greeting: string = config.require("greeting");

class Greeter extends pulumi.ComponentResource {
  readonly text: pulumi.Output<string>;

  constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
    super("test:index:Greeter", name, {}, opts);
    const journal = process.env.JOURNAL;
    const greet = new local.Command(
      `${name}-greet`,
      {
        create: `cat >> '${journal}'; echo ${greeting}`,
        delete: `echo bye >> '${journal}'`,
        stdin: pulumi.interpolate`greet ${config.requireSecret("password")}\n`,
        logging: "none",
      },
      { parent: this, additionalSecretOutputs: ["stdout"] },
    );
    this.text = greet.stdout;
    this.registerOutputs({ text: this.text });
  }
}

const greeters = Array.from({ length: config.requireNumber("count") }, (_, i) => new Greeter(`greeter${i}`));
void pulumi.log.info("the program has begun");
export const texts = greeters.map((greeter) => greeter.text);
export const plain = `${greeters.length} greeters`;
export const password = config.requireSecret("password");
