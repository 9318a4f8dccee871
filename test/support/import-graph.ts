import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative, sep } from 'node:path';
import ts from 'typescript';

/** Source files by their path below the root, with `/` on every system. */
export type SourceTree = ReadonlyMap<string, string>;

/** One file's use of another, or of a package. */
export interface Import {
  readonly from: string;
  /** A file of the tree, such as `store/page.ts`, or the name of a package, such as `node:fs`. */
  readonly to: string;
  readonly isPackage: boolean;
  /** Gone at run time. */
  readonly isTypeOnly: boolean;
}

/** Reads every TypeScript file below a directory. */
export function readTree(root: string): SourceTree {
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.map((file) => [relative(root, file).split(sep).join('/'), readFileSync(file, 'utf8')]));
}

export const parse = (path: string, text: string): ts.SourceFile =>
  ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);

/** Calls `visit` for every node of a file. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

/** Everything that the files of a tree import: statements, re-exports, `import()` and `import('…').Type`. */
export function importsOf(tree: SourceTree): Import[] {
  return [...tree].flatMap(([from, text]) => {
    const found: Import[] = [];
    const add = (specifier: ts.Node | undefined, isTypeOnly: boolean) => {
      if (!specifier || !ts.isStringLiteralLike(specifier)) return;
      const isPackage = !specifier.text.startsWith('.');
      const to = isPackage ? specifier.text : posix.join(posix.dirname(from), specifier.text).replace(/\.js$/, '.ts');
      found.push({ from, to, isPackage, isTypeOnly });
    };
    walk(parse(from, text), (node) => {
      if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isTypeImport(node.importClause));
      if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, isTypeExport(node));
      if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true);
      if (ts.isExternalModuleReference(node)) add(node.expression, false);
      if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
        add(node.arguments[0], false);
      }
    });
    return found;
  });
}

/** `import type …`, or an import of which every name is marked `type`. */
function isTypeImport(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false; // import 'x' is there for what it does
  if (clause.isTypeOnly) return true;
  const { name, namedBindings } = clause;
  if (name || !namedBindings || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.length > 0 && namedBindings.elements.every((element) => element.isTypeOnly);
}

function isTypeExport(node: ts.ExportDeclaration): boolean {
  if (node.isTypeOnly) return true;
  const { exportClause } = node;
  if (!exportClause || !ts.isNamedExports(exportClause)) return false;
  return exportClause.elements.length > 0 && exportClause.elements.every((element) => element.isTypeOnly);
}

/** All that a file needs at run time, itself included: files of the tree, and packages by name. */
export function valueClosure(start: string, imports: readonly Import[]): Set<string> {
  const reached = new Set([start]);
  for (const file of reached) {
    for (const { from, to, isTypeOnly } of imports) if (from === file && !isTypeOnly) reached.add(to);
  }
  return reached;
}
