export function findBrowser(options?: { platform?: NodeJS.Platform; env?: NodeJS.ProcessEnv }): string | undefined;
export function ensureBrowser(): string | undefined;
export const NO_BROWSER: string;
