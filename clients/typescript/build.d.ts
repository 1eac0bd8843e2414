/** A bundle, and what it imports from outside itself. */
export interface Bundle {
  text: string;
  imports: string[];
}

/** @returns each bundle by its file name. @throws Error if one does not build. */
export function bundles(): Promise<Map<string, Bundle>>;

/** Writes them into `dist/`. */
export function writeBundles(): Promise<void>;
