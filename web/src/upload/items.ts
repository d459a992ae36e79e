// What was dropped or chosen, as a flat list of files with their places in it. Nothing of a file is read here.

export interface Item {
  file: File;
  path: string; // where it lies in what was chosen: "GE/01.dcm"; a file by itself has no slash
}

export interface Gathered {
  items: Item[];
  junk: number; // files that systems leave in folders
  unreadable: string[]; // folders that could not be looked through
  cut: boolean; // whether there was more than MOST
}

export const MOST = 20_000;
const DEEPEST = 16;
const JUNK = /(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)$|(^|\/)__MACOSX\//i;

export const isJunk = (path: string): boolean => JUNK.test(path);
export const isZip = (item: Item): boolean => /\.zip$/i.test(item.path);

/** The files of an input; of one for folders with their places below the chosen folder. */
export function ofInput(files: FileList): Gathered {
  const found = empty();
  for (const file of files) add(found, { file, path: file.webkitRelativePath || file.name });
  return found;
}

/** All files of a drop, folders gone through; told: how many were found so far. Call it before the event has ended. */
export async function ofDrop(data: DataTransfer, told: (count: number) => void): Promise<Gathered> {
  const found = empty();
  const entries: FileSystemEntry[] = [];
  const bare: File[] = [];
  for (const one of data.items) {
    if (one.kind !== "file") continue;
    const entry = one.webkitGetAsEntry();
    if (entry) entries.push(entry);
    else {
      const file = one.getAsFile();
      if (file) bare.push(file);
    }
  }
  for (const file of bare) add(found, { file, path: file.name });
  for (const entry of entries) await walk(entry, entry.name, 0, found, told);
  return found;
}

async function walk(entry: FileSystemEntry, path: string, depth: number, found: Gathered, told: (count: number) => void): Promise<void> {
  if (found.cut) return;
  try {
    if (entry.isFile) {
      add(found, { file: await fileOf(entry as FileSystemFileEntry), path });
      if (found.items.length % 100 === 0) told(found.items.length);
      return;
    }
    if (depth >= DEEPEST) throw new Error("too deep");
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (let some = await read(reader); some.length && !found.cut; some = await read(reader))
      for (const one of some) await walk(one, `${path}/${one.name}`, depth + 1, found, told);
  } catch {
    found.unreadable.push(path);
  }
}

function add(found: Gathered, item: Item): void {
  if (isJunk(item.path)) found.junk++;
  else if (found.items.length >= MOST) found.cut = true;
  else found.items.push(item);
}

const empty = (): Gathered => ({ items: [], junk: 0, unreadable: [], cut: false });
const fileOf = (entry: FileSystemFileEntry): Promise<File> => new Promise((done, failed) => entry.file(done, failed));
const read = (reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> => new Promise((done, failed) => reader.readEntries(done, failed)); // in parts of 100
