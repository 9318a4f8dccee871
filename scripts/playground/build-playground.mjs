// The playground as static files: GraphiQL 5 with its editor and workers comes prebuilt, as strings, from the package of
// graphql-yoga. Nothing of it is needed at run time, and the page asks no other host for anything.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { removeAllBut } from '../lib/files.mjs';
import { operations } from './operations.mjs';

const TITLE = 'CXone guest sessions';
const BASE = '/playground/';

/** Where the page names the nonce of its answer: the server puts one in each time that it sends the page. */
const NONCE = '{{nonce}}';

/** Below this, compression headers cost more than they save. */
const COMPRESS_FROM_BYTES = 1024;

const source = (name) => readFile(new URL(name, import.meta.url), 'utf8');
const brotli = promisify(brotliCompress);
const gz = promisify(gzip);

/**
 * Writes the playground into a folder, each file with its `.br` and `.gz` beside it, and removes what an older version left.
 * index.html has none: it is another with each answer.
 *
 * Every name but index.html carries a hash of the content, so that browsers may keep it for ever.
 *
 * @param {string} directory
 * @returns {Promise<string[]>} the files written
 */
export async function buildPlayground(directory) {
  const files = await contents();
  await mkdir(directory, { recursive: true });
  const written = await Promise.all(
    [...files].map(([name, body]) => writeAll(join(directory, name), body, { compressed: name !== 'index.html' })),
  );
  // Last: until now a page that is already open still found the files that it names.
  removeAllBut(written.flat(), directory);
  return written.flat();
}

/** The operations in the form of GraphiQL's `defaultTabs`, where variables are text. */
const tabs = operations.map(({ query, variables }) => ({
  query,
  variables: Object.keys(variables).length > 0 ? JSON.stringify(variables, null, 2) : null,
}));

/** What the files are called and hold; index.html comes last, because it names the others. */
async function contents() {
  const graphiql = await import('@graphql-yoga/render-graphiql/graphiql');
  const files = new Map();
  const add = (stem, extension, content) => {
    const body = Buffer.from(content);
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 12);
    const name = `${stem}.${hash}.${extension}`;
    files.set(name, body);
    return BASE + name;
  };
  const workers = {
    graphql: add('graphql-worker', 'js', graphiql.graphqlWorker),
    json: add('json-worker', 'js', graphiql.jsonWorker),
    editor: add('editor-worker', 'js', graphiql.editorWorkerService),
  };
  const page = {
    style: add('graphiql', 'css', `${graphiql.css}\n${await source('page.css')}`),
    styles: add('styles', 'js', await source('styles.js')),
    script: add('graphiql', 'js', graphiql.js),
    boot: add('boot', 'js', await source('boot.js')),
    icon: add('favicon', 'ico', Buffer.from(graphiql.favicon.split(',')[1], 'base64')),
    settings: { title: TITLE, endpoint: '/graphql', workers, tabs },
  };
  files.set('index.html', Buffer.from(indexPage(page)));
  return files;
}

function indexPage({ style, styles, script, boot, icon, settings }) {
  // Data, not script: a browser does not run it, so the content security policy needs no exception for it.
  const data = JSON.stringify(settings).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${TITLE}: playground</title>
    <link rel="icon" href="${icon}">
    <link rel="stylesheet" href="${style}">
  </head>
  <body class="no-focus-outline">
    <noscript>The playground needs JavaScript.</noscript>
    <div id="root"></div>
    <script type="application/json" id="settings">${data}</script>
    <script src="${styles}" nonce="${NONCE}"></script>
    <script src="${script}"></script>
    <script src="${boot}"></script>
  </body>
</html>
`;
}

async function writeAll(path, body, { compressed }) {
  const forms = [[path, body]];
  if (compressed && body.length >= COMPRESS_FROM_BYTES) {
    const quality = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: body.length };
    const [small, compatible] = await Promise.all([brotli(body, { params: quality }), gz(body, { level: 9 })]);
    forms.push([`${path}.br`, small], [`${path}.gz`, compatible]);
  }
  for (const [name, content] of forms) {
    // A server that is running never reads half a file.
    await writeFile(`${name}.part`, content);
    await rename(`${name}.part`, name);
  }
  return forms.map(([name]) => name);
}
