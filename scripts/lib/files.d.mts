/** Every file in a folder and the folders in it, in a stable order; none if there is no such folder. */
export function filesUnder(folder: string, ...except: string[]): string[];

/** Deletes every file in a folder that is not one of `kept`, and the folders that this leaves empty. */
export function removeAllBut(kept: readonly string[], folder: string, except?: readonly string[]): void;
