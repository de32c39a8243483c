import { runProgram } from "./program";
it("try", async () => {
  const { resources, outputs, errors } = await runProgram();
  for (const r of resources) console.log(r.type, r.name, "|", r.dependencies.map(d=>d.split("::").pop()).join(" "), "|", r.deletedWith, r.secretInputs.join(), r.additionalSecretOutputs.join(), r.deleteBeforeReplace, Object.keys(r.inputs).join());
  console.log(outputs, errors, resources.length, resources.find(r=>r.name==="cilium-release")!.inputs, resources.filter(r=>r.custom)[0]!.inputs);
  const p = await runProgram({preview: true});
  console.log(p.resources.length, p.errors);
  for (const r of p.resources.filter(r=>r.custom)) console.log(r.name, Object.entries(r.inputs).filter(([,v])=>JSON.stringify(v).includes("<unknown>")).map(([k])=>k).join(), r.dependencies.length);
}).timeout(60000);
