/*
 * libmpi_abi for tests: the part of MPI 5.0's standard binary interface that tapegrad calls, on top of an MPICH that does not have it yet. Handles and
 * constants are translated; one that the standard does not have ends the process, so that a wrong table cannot pass.
 *
 *   cc -shared -fPIC -o libmpi_abi.so.1 shim.c -l:libmpich.so.12
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef intptr_t Handle;

extern int PMPI_Initialized(int *), PMPI_Init_thread(int *, char ***, int, int *), PMPI_Finalize(void), PMPI_Abort(int, int);
extern int PMPI_Get_library_version(char *, int *), PMPI_Error_string(int, char *, int *), PMPI_Comm_set_errhandler(int, int);
extern int PMPI_Comm_rank(int, int *), PMPI_Comm_size(int, int *), PMPI_Test(int *, int *, void *);
extern int PMPI_Iallreduce(const void *, void *, int, int, int, int, int *), PMPI_Ibcast(void *, int, int, int, int, int *);
extern int PMPI_Iallgather(const void *, int, int, void *, int, int, int, int *);
extern int PMPI_Isend(const void *, int, int, int, int, int, int *), PMPI_Irecv(void *, int, int, int, int, int, int *);

/* The standard's value and MPICH's. */
static const struct { Handle standard; int mpich; } TABLE[] = {
  {0x101, 0x44000000},                                                                 /* MPI_COMM_WORLD */
  {0x142, 0x54000001},                                                                 /* MPI_ERRORS_RETURN */
  {0x210, 0x4c00040a}, {0x214, 0x4c00080b}, {0x250, 0x4c000405}, {0x247, 0x4c00010d}, /* FLOAT, DOUBLE, INT32_T, BYTE */
  {0x21, 0x58000003}, {0x22, 0x58000002}, {0x23, 0x58000001},                         /* SUM, MIN, MAX */
};

static int refuse(const char *what, long value) {
  fprintf(stderr, "shim: %s 0x%lx is not in the standard interface\n", what, value);
  exit(99);
}

static int from(Handle handle) {
  for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++)
    if (TABLE[i].standard == handle) return TABLE[i].mpich;
  return refuse("handle", handle);
}

static const void *sent(const void *data) { return data == (void *)1 ? (void *)-1 : data; } /* MPI_IN_PLACE */

static int started(int error, int request, Handle *out) {
  *out = request;
  return error;
}

int MPI_Initialized(int *flag) { return PMPI_Initialized(flag); }
int MPI_Init_thread(int *argc, char ***argv, int level, int *provided) {
  if (level != 2048) refuse("level of threads", level); /* MPI_THREAD_SERIALIZED */
  return PMPI_Init_thread(argc, argv, 2, provided);
}
int MPI_Finalize(void) { return PMPI_Finalize(); }
int MPI_Abort(Handle comm, int code) { return PMPI_Abort(from(comm), code); }
int MPI_Get_library_version(char *text, int *length) { return PMPI_Get_library_version(text, length); }
int MPI_Error_string(int code, char *text, int *length) { return PMPI_Error_string(code, text, length); }
int MPI_Comm_set_errhandler(Handle comm, Handle handler) { return PMPI_Comm_set_errhandler(from(comm), from(handler)); }
int MPI_Comm_rank(Handle comm, int *rank) { return PMPI_Comm_rank(from(comm), rank); }
int MPI_Comm_size(Handle comm, int *size) { return PMPI_Comm_size(from(comm), size); }

int MPI_Iallreduce(const void *in, void *out, int count, Handle type, Handle op, Handle comm, Handle *request) {
  int r = 0, error = PMPI_Iallreduce(sent(in), out, count, from(type), from(op), from(comm), &r);
  return started(error, r, request);
}
int MPI_Ibcast(void *data, int count, Handle type, int root, Handle comm, Handle *request) {
  int r = 0, error = PMPI_Ibcast(data, count, from(type), root, from(comm), &r);
  return started(error, r, request);
}
int MPI_Iallgather(const void *in, int n, Handle t, void *out, int m, Handle u, Handle comm, Handle *request) {
  int r = 0, error = PMPI_Iallgather(sent(in), n, from(t), out, m, from(u), from(comm), &r);
  return started(error, r, request);
}
int MPI_Isend(const void *data, int count, Handle type, int to, int tag, Handle comm, Handle *request) {
  int r = 0, error = PMPI_Isend(data, count, from(type), to, tag, from(comm), &r);
  return started(error, r, request);
}
int MPI_Irecv(void *data, int count, Handle type, int source, int tag, Handle comm, Handle *request) {
  int r = 0, error = PMPI_Irecv(data, count, from(type), source, tag, from(comm), &r);
  return started(error, r, request);
}
int MPI_Test(Handle *request, int *flag, void *status) {
  if (status) refuse("status", (long)status); /* MPI_STATUS_IGNORE is 0 there, and 1 in MPICH */
  int r = (int)*request, error = PMPI_Test(&r, flag, (void *)1);
  *request = *flag ? 0x180 : r; /* MPI_REQUEST_NULL */
  return error;
}
