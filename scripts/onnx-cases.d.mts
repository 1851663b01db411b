interface Surroundings {
  env?: NodeJS.ProcessEnv;
}
export function findOnnxCases(surroundings?: Surroundings): string | undefined;
export function onnxCasesVersion(surroundings?: Surroundings): string | undefined;
export function ensureOnnxCases(surroundings?: Surroundings): string | undefined;
export function onnxCasesRequired(surroundings?: Surroundings): boolean;
export const NO_ONNX_CASES: string;
