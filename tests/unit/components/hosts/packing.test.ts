import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import fc from "fast-check";
import { keepPacked, pack, packedFile, readPacked } from "../../../../components/hosts/packing";
import { removeTemporaryFolders, temporaryFolder } from "../../host/bash";

afterEach(removeTemporaryFolders);

describe("pack", () => {
  it("is gzip in base64", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(gunzipSync(Buffer.from(pack(text), "base64")).toString()).to.equal(Buffer.from(text).toString());
      }),
      { numRuns: 20 },
    );
  });

  it("gives the same bytes on every machine, at any time", () => {
    // As written down on another one. Other bytes run every stage of every stack once more: CHANGELOG.md has to say so.
    expect(pack("# a script\n".repeat(50) + "main\n")).to.equal(
      "H4sIAAAAAAACA1NWSFQoTi7KLCjhGmWOMnEwcxMz87gAGl36ESsCAAA=",
    );
  });
});

describe("what has been packed before", () => {
  const texts = { a1: pack("one"), b2: pack("two") };

  it("comes from the first file that is whole", () => {
    const [missing, one, two] = ["missing", "one", "two"].map((name) => join(temporaryFolder(), name));
    writeFileSync(one!, packedFile(texts));
    writeFileSync(two!, packedFile({}));
    expect(readPacked([missing!, one!, two!])).to.deep.equal(texts);
  });

  it("is not taken from a file with any change in it", () => {
    const file = join(temporaryFolder(), "packed.json");
    const text = packedFile(texts);
    fc.assert(
      fc.property(fc.nat(text.length - 2), fc.constantFrom("", "x"), (at, instead) => {
        fc.pre(text[at] !== instead);
        writeFileSync(file, text.slice(0, at) + instead + text.slice(at + 1));
        expect(readPacked([file])).to.deep.equal({});
        writeFileSync(file, text.slice(0, at));
        expect(readPacked([file])).to.deep.equal({});
      }),
      { numRuns: 50 },
    );
  });

  it("is kept in one step, and need not be", () => {
    const folder = temporaryFolder();
    const file = join(folder, "new/packed.json");
    keepPacked(texts, file);
    expect(readFileSync(file, "utf8")).to.equal(packedFile(texts));
    writeFileSync(join(folder, "file"), "");
    keepPacked(texts, join(folder, "file/packed.json"));
    expect(existsSync(join(folder, "file/packed.json"))).to.equal(false);
  });
});
