/* What bench/mpi/latency.mjs measures, in C: MPI_Allreduce in place and a ping-pong, float32; medians of rounds, in microseconds. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 9 };

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  int provided, rank;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  for (int a = 1; a + 1 < argc; a += 2) {
    int count = atoi(argv[a]) / 4, calls = atoi(argv[a + 1]);
    float *x = calloc(count, 4), *y = calloc(count, 4);
    double median[2];
    for (int kind = 0; kind < 2; kind++) {
      double times[ROUNDS];
      for (int round = -1; round < ROUNDS; round++) { /* the first one warms up */
        MPI_Barrier(MPI_COMM_WORLD);
        double began = MPI_Wtime();
        for (int i = 0; i < calls; i++) {
          if (kind == 0) MPI_Allreduce(MPI_IN_PLACE, x, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
          else if (rank == 0) MPI_Send(x, count, MPI_FLOAT, 1, 0, MPI_COMM_WORLD), MPI_Recv(y, count, MPI_FLOAT, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
          else if (rank == 1) MPI_Recv(y, count, MPI_FLOAT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE), MPI_Send(x, count, MPI_FLOAT, 0, 0, MPI_COMM_WORLD);
        }
        if (round >= 0) times[round] = (MPI_Wtime() - began) / calls * 1e6;
      }
      qsort(times, ROUNDS, sizeof *times, ascending);
      median[kind] = times[ROUNDS / 2];
    }
    if (rank == 0) printf("{\"bytes\": %d, \"allreduce\": %g, \"pingPong\": %g}\n", count * 4, median[0], median[1]);
    free(x), free(y);
  }
  MPI_Finalize();
}
