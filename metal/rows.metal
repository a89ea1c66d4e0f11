// How the threads of a group share rows: lines of `axis` elements, `inner` apart, in a tensor seen as [outer, axis, inner]. A group takes
// as many rows at once as its width allows; within a row, partial results meet in a tree of barriers.
#include <metal_stdlib>
using namespace metal;

constant constexpr uint WIDTH = 256;   // threads a group at most; dispatches may use fewer

struct Share {
  uint lanes;      // threads of one row, a power of two
  uint together;   // rows of a group
  uint lane, place;
  bool inRow;      // false in threads that are left over
};

inline Share shareRows(uint axis, uint inner, uint index, uint width) {
  // Neighbouring threads read neighbouring elements: those of one row where it is contiguous, those of neighbouring rows where it is not.
  const bool contiguous = inner == 1;
  const uint limit = contiguous ? width : (width + 31) / 32;
  Share s;
  s.lanes = 1;
  while (s.lanes * 2 <= limit && s.lanes < axis) s.lanes *= 2;
  s.together = width / s.lanes;
  s.lane = contiguous ? index % s.lanes : index / s.together;
  s.place = contiguous ? index / s.lanes : index % s.together;
  s.inRow = s.place < s.together && s.lane < s.lanes;
  return s;
}

// Where a thread keeps its partial result. Threads left over keep theirs apart.
inline uint slotOf(Share s, uint index) { return s.inRow ? s.place * s.lanes + s.lane : index; }

inline ulong startOf(uint row, uint axis, uint inner) { return ulong(row / inner) * axis * inner + row % inner; }
