/**
 * MPI fixes functions, not their binary form. Three forms are in use, and these are the constants in which they differ:
 *
 * * `openmpi`: a handle is the address of an object that the library exports;
 * * `mpich`: a handle is a 32-bit number (MPICH and those that keep to its binary interface: Intel MPI, MVAPICH, Cray MPICH);
 * * `standard`: MPI 5.0's own interface, libmpi_abi: a handle is a small number in a pointer's place.
 *
 * Sources: the header mpi.h of Open MPI 4 and of MPICH 4, and chapter 20 of the MPI 5.0 standard.
 */
export type AbiName = 'openmpi' | 'mpich' | 'standard';

/** What is passed by handle. */
export const HANDLES = ['world', 'errorsReturn', 'float32', 'float64', 'int32', 'bytes', 'sum', 'max', 'min'] as const;
export type HandleName = (typeof HANDLES)[number];

export interface Abi {
  /** The handles themselves, or the names of the exported objects whose addresses they are. */
  readonly handles: Readonly<Record<HandleName, number | bigint | string>>;
  /** The C type of a handle, and the array that a request is written to. */
  readonly handleType: 'int' | 'void *';
  readonly requestArray: new (buffer: ArrayBuffer) => Int32Array | BigInt64Array;
  /** MPI_THREAD_SERIALIZED. */
  readonly serialized: number;
  /** MPI_IN_PLACE and MPI_STATUS_IGNORE, as addresses. */
  readonly inPlace: bigint;
  readonly statusIgnore: bigint;
  /** MPI_MAX_ERROR_STRING. */
  readonly errorBytes: number;
}

/** More than MPI_MAX_LIBRARY_VERSION_STRING of any of them. */
export const VERSION_BYTES = 8192;

export const ABIS: Readonly<Record<AbiName, Abi>> = {
  openmpi: {
    handles: {
      world: 'ompi_mpi_comm_world',
      errorsReturn: 'ompi_mpi_errors_return',
      float32: 'ompi_mpi_float',
      float64: 'ompi_mpi_double',
      int32: 'ompi_mpi_int32_t',
      bytes: 'ompi_mpi_byte',
      sum: 'ompi_mpi_op_sum',
      max: 'ompi_mpi_op_max',
      min: 'ompi_mpi_op_min',
    },
    handleType: 'void *',
    requestArray: BigInt64Array,
    serialized: 2,
    inPlace: 1n,
    statusIgnore: 0n,
    errorBytes: 256,
  },
  mpich: {
    handles: {
      world: 0x44000000,
      errorsReturn: 0x54000001,
      float32: 0x4c00040a,
      float64: 0x4c00080b,
      int32: 0x4c000405, // MPI_INT: C's int has 32 bits wherever this runs
      bytes: 0x4c00010d,
      sum: 0x58000003,
      max: 0x58000001,
      min: 0x58000002,
    },
    handleType: 'int',
    requestArray: Int32Array,
    serialized: 2,
    inPlace: 0xffff_ffff_ffff_ffffn, // (void *) -1
    statusIgnore: 1n,
    errorBytes: 512,
  },
  standard: {
    handles: {
      world: 0x101n,
      errorsReturn: 0x142n,
      float32: 0x210n,
      float64: 0x214n,
      int32: 0x250n,
      bytes: 0x247n,
      sum: 0x21n,
      max: 0x23n,
      min: 0x22n,
    },
    handleType: 'void *',
    requestArray: BigInt64Array,
    serialized: 2048,
    inPlace: 1n,
    statusIgnore: 0n,
    errorBytes: 512,
  },
};

/** Names under which the libraries are found, the likeliest first. */
export function libraryNames(platform: string): Readonly<Record<AbiName | 'any', readonly string[]>> {
  if (platform === 'darwin')
    return {
      openmpi: ['libmpi.40.dylib'],
      mpich: ['libmpi.12.dylib', 'libmpich.12.dylib'],
      standard: ['libmpi_abi.1.dylib', 'libmpi_abi.0.dylib', 'libmpi_abi.dylib'],
      any: ['libmpi.dylib'],
    };
  return {
    openmpi: ['libmpi.so.40'],
    mpich: ['libmpi.so.12', 'libmpich.so.12'], // the second is Debian's name
    standard: ['libmpi_abi.so.1', 'libmpi_abi.so.0', 'libmpi_abi.so'],
    any: ['libmpi.so'],
  };
}
