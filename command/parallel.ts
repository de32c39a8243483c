/** Work on many nodes at the same time, with a bound. */

/** An ssh-agent, a shell and ssh for each; a machine of two cores still gets all answers in time. */
const atOnce = 16;

export async function onAll<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}

/** A line of progress, beside the command's output. */
export const progress = (line: string): void => void process.stderr.write(`${line}\n`);
