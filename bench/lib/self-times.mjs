import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** V8's own entries that are nobody's work. */
const IDLE = new Set(['(idle)', '(root)']);

/**
 * A profile as V8 writes it, as far as it is read here.
 *
 * @typedef {object} CpuProfile
 * @property {{ id: number, callFrame: { functionName: string, url: string, lineNumber: number, columnNumber: number }, children?: number[] }[]} nodes
 * @property {number} startTime microseconds
 * @property {number[]} samples ids of nodes
 * @property {number[]} timeDeltas microseconds since the sample before
 */

/**
 * Self time by package and by function, the longest first. C++ has no file: its time is counted under whoever called it.
 *
 * @param {CpuProfile} profile
 * @param {{ from: number, to: number }} span in microseconds, on the profile's clock
 */
export function selfTimes({ nodes, startTime, samples, timeDeltas }, { from, to }) {
  const places = placesOf(nodes);
  const packages = new Map();
  const functions = new Map();
  let busyUs = 0;
  let totalUs = 0;
  let now = startTime;
  for (const [i, id] of samples.entries()) {
    const took = timeDeltas[i + 1] ?? 0; // a sample stands for the time until the next
    now += timeDeltas[i];
    if (now < from || now >= to) continue;
    const place = places.get(id);
    totalUs += took;
    if (place.isIdle) continue;
    busyUs += took;
    packages.set(place.package, (packages.get(place.package) ?? 0) + took);
    functions.set(place.function, (functions.get(place.function) ?? 0) + took);
  }
  return { packages: sorted(packages), functions: sorted(functions), busyUs, totalUs };
}

/** @param {Map<string, number>} times */
const sorted = (times) => [...times].sort(([, a], [, b]) => b - a);

/** @param {CpuProfile['nodes']} nodes */
function placesOf(nodes) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const places = new Map();
  const visit = (node, caller) => {
    const place = placeOf(node.callFrame, caller);
    places.set(node.id, place);
    for (const id of node.children ?? []) visit(byId.get(id), place.file === null ? caller : place);
  };
  visit(nodes[0], null);
  return places;
}

function placeOf({ functionName, url, lineNumber }, caller) {
  const name = functionName || '(anonymous)';
  if (url !== '') {
    const file = url.startsWith('file:') ? relative(root, fileURLToPath(url)).replaceAll(sep, '/') : url;
    const inPackage = packageOf(file);
    return { isIdle: false, file, package: inPackage, function: `${name}  ${shorten(file)}:${lineNumber + 1}` };
  }
  if (name.startsWith('(') || caller === null) {
    return { isIdle: IDLE.has(name), file: null, package: name, function: name };
  }
  return {
    isIdle: false,
    file: null,
    package: `${caller.package} → native`,
    function: `${name}  native, from ${caller.function}`,
  };
}

const shorten = (file) => file.replace(/^.*node_modules\//, '');

/** The npm package of a file, `node` for Node's own, or our folder. */
function packageOf(file) {
  if (file.startsWith('node:')) return file.replace(/^node:(internal\/)?([^/]+).*$/, 'node:$2');
  const installed = /^.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file);
  if (installed) return installed[1];
  const ours = /^(src|dist)\/(?:([^/]+)\/)?/.exec(file);
  return ours ? `ours: ${ours[2] ?? ours[1]}` : file;
}
