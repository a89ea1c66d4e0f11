// What elementwise kernels begin with; their own texts are generated from the code that the ops declare. Operands may broadcast.
#include "math.metal"

struct ElementwiseParams {
  uint size, rank;
  uint4 shape[2];
  int4 xStrides[2], yStrides[2], zStrides[2];
};

// Where the operands' elements for element i of the result lie.
struct Places { int x, y, z; };

inline Places placesOf(uint i, constant ElementwiseParams &p) {
  Places at;
  at.x = at.y = at.z = 0;
  for (uint axis = p.rank; axis-- > 1;) {
    const uint dim = p.shape[axis / 4][axis % 4];
    const int position = int(i % dim);
    i /= dim;
    at.x += position * p.xStrides[axis / 4][axis % 4];
    at.y += position * p.yStrides[axis / 4][axis % 4];
    at.z += position * p.zStrides[axis / 4][axis % 4];
  }
  at.x += int(i) * p.xStrides[0][0];
  at.y += int(i) * p.yStrides[0][0];
  at.z += int(i) * p.zStrides[0][0];
  return at;
}
