import { BlasError, findBlas, useBlas } from 'tapegrad';
import { UsageError } from './options.mjs';

/**
 * Lets the system's BLAS library compute matrix products, if it is wanted (`--blas`).
 *
 * @param {boolean} wanted
 * @returns {Promise<string | null>} what there is to be said of it.
 */
export async function chooseProducts(wanted) {
  if (!wanted) {
    const file = findBlas();
    return file && `There is a BLAS library here (${file}): --blas trains faster with it, to other bits.`;
  }
  try {
    return `Matrix products by ${(await useBlas()).description}.`;
  } catch (error) {
    if (error instanceof BlasError) throw new UsageError(`--blas: ${error.message}`);
    throw error;
  }
}
