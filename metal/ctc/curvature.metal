// Second derivatives of the CTC losses: the recursion of loss.metal on dual numbers, and its sum over classes.
#include "ctc/common.metal"

constant constexpr uint WIDTH = 256;   // threads a group at most; dispatches may use fewer

// A probability and its logarithm's derivative along the direction. The recursion on pairs of both gives alpha's and beta's derivatives;
// the Hessian is symmetric, so its product with the direction is what the backward pass wants.
struct Dual { Scaled value; float rate; };

inline Dual dual(Scaled value, float rate) { Dual d; d.value = value; d.rate = rate; return d; }
inline Dual unpackDual(int4 bits) { return dual(scaled(as_type<float>(bits.x), bits.y), as_type<float>(bits.z)); }
inline int4 packDual(Dual d) { return int4(as_type<int>(d.value.mantissa), d.value.exponent, as_type<int>(d.rate), 0); }

inline Dual dualPlus(Dual a, Dual b, Dual c) {
  const int top = max(max(a.value.exponent, b.value.exponent), c.value.exponent);
  const float u = a.value.mantissa * power(a.value.exponent - top), v = b.value.mantissa * power(b.value.exponent - top), w = c.value.mantissa * power(c.value.exponent - top);
  // A summand that is nothing has no say, whatever its rate.
  const float rate = (u > 0.0f ? u * a.rate : 0.0f) + (v > 0.0f ? v * b.rate : 0.0f) + (w > 0.0f ? w * c.rate : 0.0f);
  return dual(normalised(u + v + w, top), rate / (u + v + w));
}

// states [2, count, frames, width, 4]: as in ctcRecursion, with their rates. totals [count, 4]: the rate is added to what ctcRecursion left there.
// memory [count, 2, 3, width + 1, 4]: the state between frames, [blank | label | label] by position, the labels in turn.
kernel void ctcDual(device const int2 *emissions [[buffer(0)]],
                    device const int *lattice [[buffer(1)]],
                    device const float *direction [[buffer(2)]],
                    device int4 *states [[buffer(3)]],
                    device int4 *totals [[buffer(4)]],
                    device int4 *memory [[buffer(5)]],
                    constant CtcParams &p [[buffer(6)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint index [[thread_index_in_threadgroup]],
                    uint width [[threads_per_threadgroup]]) {
  const uint local = group / 2, item = p.first + local;
  Walk w;
  w.backwards = group % 2 == 1;
  w.times = inputLengthOf(lattice, item);
  w.length = targetLengthOf(lattice, item, p);
  w.slots = p.slots;
  w.longest = p.width;
  w.blank = p.blank;
  w.byClass = p.byClass != 0;
  w.keep = false;
  w.emissions = emissions + ulong(local) * p.frames * p.slots;
  w.target = targetOf(lattice, item, p);
  device int4 *kept = states + ((w.backwards ? p.count : 0) + ulong(local)) * p.frames * p.width;
  const uint positions = p.width + 1;
  device int4 *own = memory + ulong(group) * 3 * positions;
  const Dual nothing = dual(scaled(1.0f, ZERO), 0.0f);
  for (uint i = index; i <= w.length; i += width) {
    own[i] = packDual(i == 0 ? dual(scaled(1.0f, 0), 0.0f) : nothing);
    own[positions + i] = packDual(nothing);
  }
  for (uint step = 0; step < w.times; step++) {
    device int4 *last = own + (1 + (step & 1)) * positions;
    device int4 *next = own + (2 - (step & 1)) * positions;
    threadgroup_barrier(mem_flags::mem_device);
    const uint t = frameAt(w, step);
    device const float *along = direction + (ulong(t) * p.batch + item) * p.classes;
    const Scaled blankEmission = emissionAt(w, step, blankSlot(w));
    for (uint i = index; i <= w.length; i += width) {
      const Dual blank = unpackDual(own[i]), label = unpackDual(last[i]), before = i > 0 ? unpackDual(last[i - 1]) : nothing;
      const Dual arriving = dualPlus(label, blank, skipsTo(w, i) ? before : nothing);
      const Dual resting = dualPlus(blank, before, nothing);
      own[i] = packDual(dual(times(resting.value, blankEmission), resting.rate + along[p.blank]));
      if (i < w.length) {
        const Dual leaving = dual(times(arriving.value, emissionAt(w, step, labelSlot(w, i))), arriving.rate + along[labelAt(w, i)]);
        next[i] = packDual(leaving);
        kept[ulong(t) * p.width + tokenAt(w, i)] = packDual(w.backwards ? arriving : leaving);
      } else {
        next[i] = packDual(nothing);
      }
    }
  }
  threadgroup_barrier(mem_flags::mem_device);
  if (w.backwards || index != 0) return;
  device const int4 *labels = own + (1 + (w.times & 1)) * positions;
  totals[local].w = as_type<int>(dualPlus(unpackDual(own[w.length]), w.length > 0 ? unpackDual(labels[w.length - 1]) : nothing, nothing).rate);
}

// The derivative of a label's posterior.
inline float changeOf(Dual alpha, Dual beta, Scaled total, float rate) {
  const int exponent = min(alpha.value.exponent + beta.value.exponent - total.exponent, 1);
  const float posterior = alpha.value.mantissa * beta.value.mantissa / total.mantissa * power(exponent);
  return posterior > 0.0f ? posterior * (alpha.rate + beta.rate - rate) : 0.0f;
}

// The sum of a value over the lanes of a row, in all of them. All threads of a group take part, for the barriers' sake.
inline float rowSum(float value, uint lane, uint lanes, bool inRow, uint index, threadgroup float *values) {
  values[index] = value;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint span = lanes; span > 1; span = (span + 1) / 2) {
    const uint half_ = (span + 1) / 2;
    if (inRow && lane + half_ < span) values[index] += values[index + half_];
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  const float sum = values[index - lane];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return sum;
}

// product [frames, batch, classes]: the losses' second derivatives times the direction.
kernel void ctcDualGrad(device const float *scores [[buffer(0)]],
                        device const int *lattice [[buffer(1)]],
                        device const int4 *states [[buffer(2)]],
                        device const int4 *totals [[buffer(3)]],
                        device const float2 *norms [[buffer(4)]],
                        device const float *direction [[buffer(5)]],
                        device float *product [[buffer(6)]],
                        constant CtcParams &p [[buffer(7)]],
                        uint group [[threadgroup_position_in_grid]],
                        uint groups [[threadgroups_per_grid]],
                        uint index [[thread_index_in_threadgroup]],
                        uint width [[threads_per_threadgroup]]) {
  threadgroup float values[WIDTH];
  const uint lanes = min(p.lanes, width), together = width / lanes, lane = index % lanes;
  const uint rowCount = p.frames * p.count;
  for (uint first = group * together; first < rowCount; first += groups * together) {
    const uint row = first + index / lanes;
    const bool inRow = index < together * lanes, inRange = inRow && row < rowCount;
    const uint t = inRange ? row / p.count : 0, local = inRange ? row % p.count : 0, item = p.first + local;
    const int4 outcome = totals[local];
    const float loss = lossOf(outcome);
    const bool inside = inRange && t < inputLengthOf(lattice, item), active = inside && loss < INFINITY;
    const ulong at = (ulong(t) * p.batch + item) * p.classes;
    const float2 norm = active && p.logits != 0 ? norms[row] : float2(0.0f, 0.0f);

    // The softmax's part: softmax * (direction - mean), the mean taken over the softmax.
    float mean = 0.0f;
    if (active && p.logits != 0) for (uint c = lane; c < p.classes; c += lanes) mean += exp(scores[at + c] - norm.x) * norm.y * direction[at + c];
    mean = rowSum(mean, lane, lanes, inRow, index, values);
    if (inRange) for (uint c = lane; c < p.classes; c += lanes) {
      const float softmax = active && p.logits != 0 ? exp(scores[at + c] - norm.x) * norm.y : 0.0f;
      product[at + c] = active ? softmax * (direction[at + c] - mean) : inside && isnan(loss) ? NAN : 0.0f;
    }
    threadgroup_barrier(mem_flags::mem_device);

    // The posteriors' part. The first label of each class adds up all of that class; the blank's change is minus that of all labels.
    const uint length = active ? targetLengthOf(lattice, item, p) : 0;
    device const int *target = targetOf(lattice, item, p);
    device const int4 *alphas = states + (ulong(local) * p.frames + t) * p.width;
    device const int4 *betas = states + (ulong(p.count + local) * p.frames + t) * p.width;
    const Scaled total = unpack(outcome.xy);
    const float rate = rateOf(outcome);
    float labels = 0.0f;
    for (uint k = lane; k < length; k += lanes) {
      labels += changeOf(unpackDual(alphas[k]), unpackDual(betas[k]), total, rate);
      bool isFirst = true;
      for (uint j = 0; j < k && isFirst; j++) isFirst = target[j] != target[k];
      if (!isFirst) continue;
      float change = 0.0f;
      for (uint j = k; j < length; j++) if (target[j] == target[k]) change += changeOf(unpackDual(alphas[j]), unpackDual(betas[j]), total, rate);
      product[at + uint(target[k])] -= change;
    }
    labels = rowSum(labels, lane, lanes, inRow, index, values);
    if (active && lane == 0) product[at + p.blank] += labels;
    threadgroup_barrier(mem_flags::mem_device);
  }
}
