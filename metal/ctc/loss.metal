// Connectionist temporal classification (Graves et al. 2006) in three kernels: emissions, the recursion in both directions, the gradient.
#include "ctc/common.metal"

constant constexpr uint WIDTH = 256;     // threads a group at most; dispatches may use fewer
constant int IMPOSSIBLE = -(1 << 27);    // an exponent below this has a zero among its factors
constant float LOG2E = 1.44269502f;      // log2(e) in two floats
constant float LOG2E_LOW = 1.92596299e-8f;
constant float LN2 = 0.693147182f;

struct CtcScaleParams { uint frames, batch, classes; };

// ---- emissions

// What all classes of a row have in common.
struct Row { float maximum, logSum; bool isLogits; };

// exp(value) normalised by the row. The logarithm to base 2 is kept in two floats, or improbable classes would lose digits in the exponent.
inline Scaled emission(float value, Row row) {
  float d = value, low = 0.0f;
  if (row.isLogits) {
    d = value - row.maximum;
    const float back = d - value;
    low = ((value - (d - back)) - (row.maximum + back)) * LOG2E;   // what the subtraction rounded off
  }
  const float high = fma(d, LOG2E, 0.0f);
  low += fma(d, LOG2E, -high) + d * LOG2E_LOW;
  const float log2p = high - row.logSum;
  const float back = log2p - high;
  low += (high - (log2p - back)) - (row.logSum + back);
  // Not >=: minus infinity gives NaN on its way here.
  if (!(log2p > float(IMPOSSIBLE) * 0.5f)) return scaled(1.0f, ZERO);
  const float whole = floor(log2p);
  const uint bits = as_type<uint>(exp2((log2p - whole) + low));
  return scaled(as_type<float>((bits & 0x7fffffu) | 0x3f800000u), int(whole) + int(bits >> 23) - 127);
}

inline uint slotClass(uint slot, device const int *target, constant CtcParams &p) {
  if (p.byClass != 0) return slot;
  return slot == 0 ? p.blank : uint(target[slot - 1]);
}

// emissions [count, frames, slots, 2]: exp(score), normalised and divided by 2^exponents.
// exponents [count, frames]: the exponent of the largest emission among the blank and the target's labels; NaN where the row has one.
// norms [frames, count, 2]: maximum and 1 / sum of exp(score - maximum), for the softmax in the gradient.
kernel void ctcEmit(device const float *scores [[buffer(0)]],
                    device const int *lattice [[buffer(1)]],
                    device int2 *emissions [[buffer(2)]],
                    device float *exponents [[buffer(3)]],
                    device float2 *norms [[buffer(4)]],
                    constant CtcParams &p [[buffer(5)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint groups [[threadgroups_per_grid]],
                    uint index [[thread_index_in_threadgroup]],
                    uint width [[threads_per_threadgroup]]) {
  threadgroup float maxima[WIDTH], present[WIDTH], sums[WIDTH];
  const uint lanes = min(p.lanes, width), together = width / lanes;
  const uint lane = index % lanes, base = index - lane;
  const bool inRow = index < together * lanes;   // the threads left over when the width is no multiple of the lanes have no row
  const uint rowCount = p.frames * p.count;
  for (uint first = group * together; first < rowCount; first += groups * together) {
    const uint row = first + index / lanes;
    const uint t = row / p.count, local = row % p.count, item = p.first + local;
    const bool active = inRow && row < rowCount && t < inputLengthOf(lattice, item);
    device const float *values = scores + (ulong(t) * p.batch + item) * p.classes;
    const uint labels = active ? targetLengthOf(lattice, item, p) : 0;
    device const int *target = targetOf(lattice, item, p);

    // The largest of all classes and of those that the target can use; a NaN is told by a sum that is NaN.
    float largest = -INFINITY, used = -INFINITY, odd = 0.0f;
    if (active) {
      for (uint c = lane; c < p.classes; c += lanes) {
        const float v = values[c];
        largest = max(largest, v);
        if (isnan(v) || v == INFINITY) odd = NAN;
      }
      if (lane == 0) used = values[p.blank];
      for (uint k = lane; k < labels; k += lanes) used = max(used, values[target[k]]);
    }
    maxima[index] = largest;
    present[index] = used;
    sums[index] = odd;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint span = lanes; span > 1; span = (span + 1) / 2) {
      const uint half_ = (span + 1) / 2;
      if (inRow && lane + half_ < span) {
        maxima[index] = max(maxima[index], maxima[index + half_]);
        present[index] = max(present[index], present[index + half_]);
        sums[index] += sums[index + half_];
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    const float maximum = maxima[base], best = present[base];
    odd = sums[base];
    threadgroup_barrier(mem_flags::mem_threadgroup);

    float sum = 0.0f;
    if (active && p.logits != 0) for (uint c = lane; c < p.classes; c += lanes) sum += exp(values[c] - maximum);
    sums[index] = sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint span = lanes; span > 1; span = (span + 1) / 2) {
      const uint half_ = (span + 1) / 2;
      if (inRow && lane + half_ < span) sums[index] += sums[index + half_];
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    sum = sums[base];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (!active) continue;

    Row shared_;
    shared_.maximum = maximum;
    shared_.isLogits = p.logits != 0;
    shared_.logSum = shared_.isLogits ? log2(sum) : 0.0f;
    const bool isNaN = isnan(odd) || isnan(shared_.logSum);
    const Scaled top = emission(best, shared_);
    const int frame = top.exponent == ZERO ? 0 : top.exponent;
    const ulong at = ulong(local) * p.frames + t;
    for (uint slot = lane; slot < (p.byClass != 0 ? p.classes : 1 + labels); slot += lanes) {
      const uint c = slotClass(slot, target, p);
      Scaled e = isNaN ? scaled(1.0f, ZERO) : emission(values[c], shared_);
      // A class outside the target may be likelier than all in it; it is never looked at, and must not upset the range.
      e.exponent = e.exponent == ZERO ? ZERO : min(e.exponent - frame, 1);
      emissions[at * p.slots + slot] = pack(e);
    }
    if (lane == 0) {
      exponents[at] = isNaN ? NAN : float(frame);
      norms[row] = float2(maximum, 1.0f / sum);
    }
  }
}

// ---- the recursion

// One frame for one position. `before` is the label of the position before, at the last frame; `arriving` the label's sum before its emission.
inline void advance(thread Scaled &blank, thread Scaled &label, thread Scaled &arriving, Scaled before, bool skip, Scaled blankEmission, Scaled labelEmission) {
  const Scaled skipped = scaled(before.mantissa, skip ? before.exponent : before.exponent + ZERO);
  arriving = plus(label, blank, skipped);
  blank = times(plus(blank, before), blankEmission);
  label = times(arriving, labelEmission);
}

inline void keepState(Walk w, uint step, uint position, Scaled label, Scaled arriving) {
  if (w.keep && position < w.length) w.states[ulong(frameAt(w, step)) * w.longest + tokenAt(w, position)] = pack(w.backwards ? arriving : label);
}

// A position a thread: the state stays in registers, labels pass to the next thread through two rows of threadgroup memory in turn.
inline void walkShort(Walk w, threadgroup int2 *passed, threadgroup int2 *ends, uint index) {
  const uint blankAt = blankSlot(w), labelAt_ = labelSlot(w, index);
  const bool skip = skipsTo(w, index);
  Scaled blank = scaled(1.0f, index == 0 ? 0 : ZERO), label = scaled(1.0f, ZERO), arriving = label;
  Scaled nextBlank = blank, nextLabel = blank;
  if (w.times > 0) { nextBlank = emissionAt(w, 0, blankAt); nextLabel = emissionAt(w, 0, labelAt_); }
  for (uint step = 0; step < w.times; step++) {
    const Scaled blankEmission = nextBlank, labelEmission = nextLabel;
    // Read a frame ahead, so that memory works while the threads wait for each other.
    const uint ahead = min(step + 1, w.times - 1);
    nextBlank = emissionAt(w, ahead, blankAt);
    nextLabel = emissionAt(w, ahead, labelAt_);
    threadgroup int2 *row = passed + (step & 1) * WIDTH;
    row[index] = pack(label);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const Scaled before = index > 0 ? unpack(row[index - 1]) : scaled(1.0f, ZERO);
    advance(blank, label, arriving, before, skip, blankEmission, labelEmission);
    keepState(w, step, index, label, arriving);
  }
  if (index == w.length) ends[0] = pack(blank);
  if (index + 1 == w.length) ends[1] = pack(label);
}

// Several positions a thread: the state lies in device memory, [blank | label | label] by position, the labels in turn.
inline void walkLong(Walk w, device int2 *memory, threadgroup int2 *ends, uint index, uint width) {
  const uint positions = w.longest + 1;
  for (uint i = index; i <= w.length; i += width) {
    memory[i] = pack(scaled(1.0f, i == 0 ? 0 : ZERO));
    memory[positions + i] = pack(scaled(1.0f, ZERO));
  }
  for (uint step = 0; step < w.times; step++) {
    device int2 *last = memory + (1 + (step & 1)) * positions;
    device int2 *next = memory + (2 - (step & 1)) * positions;
    threadgroup_barrier(mem_flags::mem_device);
    const Scaled blankEmission = emissionAt(w, step, blankSlot(w));
    for (uint i = index; i <= w.length; i += width) {
      Scaled blank = unpack(memory[i]), label = unpack(last[i]), arriving = label;
      const Scaled before = i > 0 ? unpack(last[i - 1]) : scaled(1.0f, ZERO);
      advance(blank, label, arriving, before, skipsTo(w, i), blankEmission, emissionAt(w, step, labelSlot(w, i)));
      memory[i] = pack(blank);
      next[i] = pack(label);
      keepState(w, step, i, label, arriving);
    }
  }
  device const int2 *labels = memory + (1 + (w.times & 1)) * positions;
  for (uint i = index; i <= w.length; i += width) {
    if (i == w.length) ends[0] = memory[i];
    if (i + 1 == w.length) ends[1] = labels[i];
  }
}

// -log of a probability that is `total` times 2 to the frames' exponents, which `sum` and `low` add up to.
inline float lossFrom(Scaled total, float sum, float low, uint times, bool isLogits) {
  if (total.exponent < IMPOSSIBLE) return isnan(sum) ? NAN : INFINITY;
  // Near certainty the mantissa lies just below a power of two: taken from above, the logarithm would lose its digits.
  if (total.mantissa > 1.41421354f) { total.mantissa *= 0.5f; total.exponent += 1; }
  const float loss = -((sum + float(total.exponent)) + (low + log2(total.mantissa))) * LN2;
  // Rounding may leave a certain target a little above probability one; normalised inputs cannot be meant to do so.
  const float rounding = float(times) * 2.4e-7f;
  return loss <= 0.0f && (isLogits || loss >= -rounding) ? 0.0f : loss;
}

// states [2, count, frames, width, 2]: of each label, alpha after the emission and beta before it.
// losses [batch]; totals [count, 4]: see lossOf.
// memory [count, directions, 3, width + 1, 2] is scratch space, used by targets with at least as many labels as the group has threads.
kernel void ctcRecursion(device const int2 *emissions [[buffer(0)]],
                         device const float *exponents [[buffer(1)]],
                         device const int *lattice [[buffer(2)]],
                         device int2 *states [[buffer(3)]],
                         device float *losses [[buffer(4)]],
                         device int4 *totals [[buffer(5)]],
                         device int2 *memory [[buffer(6)]],
                         constant CtcParams &p [[buffer(7)]],
                         uint group [[threadgroup_position_in_grid]],
                         uint index [[thread_index_in_threadgroup]],
                         uint width [[threads_per_threadgroup]]) {
  threadgroup int2 passed[2 * WIDTH], ends[2];
  threadgroup float sums[WIDTH], lost[WIDTH];
  const uint local = group / p.directions, item = p.first + local;
  Walk w;
  w.backwards = group % p.directions == 1;
  w.times = inputLengthOf(lattice, item);
  w.length = targetLengthOf(lattice, item, p);
  w.slots = p.slots;
  w.longest = p.width;
  w.blank = p.blank;
  w.byClass = p.byClass != 0;
  w.keep = p.directions == 2;
  w.emissions = emissions + ulong(local) * p.frames * p.slots;
  w.target = targetOf(lattice, item, p);
  w.states = states + ((w.backwards ? p.count : 0) + ulong(local)) * p.frames * p.width;
  if (index == 0) ends[1] = pack(scaled(1.0f, ZERO));
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (w.length < width) walkShort(w, passed, ends, index);
  else walkLong(w, memory + ulong(group) * 3 * (p.width + 1), ends, index, width);

  // The frames' exponents, summed with the rounding errors kept: there may be many, of one sign.
  float sum = 0.0f, low = 0.0f;
  for (uint t = index; t < w.times; t += width) {
    const float term = exponents[ulong(local) * p.frames + t], next = sum + term, back = next - sum;
    low += (sum - (next - back)) + (term - back);
    sum = next;
  }
  sums[index] = sum;
  lost[index] = low;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (w.backwards || index != 0) return;
  sum = 0.0f;
  low = 0.0f;
  for (uint i = 0; i < width; i++) {
    const float term = sums[i], next = sum + term, back = next - sum;
    low += (sum - (next - back)) + (term - back) + lost[i];
    sum = next;
  }
  const Scaled total = plus(unpack(ends[0]), unpack(ends[1]));
  const float loss = lossFrom(total, sum, low, w.times, p.logits != 0);
  totals[local] = int4(as_type<int>(total.mantissa), total.exponent, as_type<int>(loss), 0);
  losses[item] = loss;
}

// ---- the gradient

constant float UNIT = 1073741824.0f;     // posteriors are summed as multiples of 2^-30: the order of additions does not matter then
constant constexpr uint TILE = 2048;     // sums that a group holds at a time

// gradient [frames, batch, classes] of the losses: softmax - posterior from logits, -posterior from log-probabilities; 0 beyond a
// sequence's length and for impossible targets. Each sequence's times its cotangent, where `scaled`.
kernel void ctcGrad(device const float *scores [[buffer(0)]],
                    device const int *lattice [[buffer(1)]],
                    device const int2 *states [[buffer(2)]],
                    device const int4 *totals [[buffer(3)]],
                    device const float2 *norms [[buffer(4)]],
                    device const float *cotangents [[buffer(5)]],
                    device float *gradient [[buffer(6)]],
                    constant CtcParams &p [[buffer(7)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint groups [[threadgroups_per_grid]],
                    uint index [[thread_index_in_threadgroup]],
                    uint width [[threads_per_threadgroup]]) {
  threadgroup atomic_uint sums[TILE];
  threadgroup atomic_uint labelled[WIDTH];
  const uint lanes = min(p.lanes, width), together = width / lanes;
  const uint lane = index % lanes, place = index / lanes, tile = TILE / together;
  const uint rowCount = p.frames * p.count;
  for (uint first = group * together; first < rowCount; first += groups * together) {
    const uint row = first + place;
    const bool inRange = place < together && row < rowCount;
    const uint t = inRange ? row / p.count : 0, local = inRange ? row % p.count : 0, item = p.first + local;
    const ulong at = (ulong(t) * p.batch + item) * p.classes;
    const int4 outcome = totals[local];
    const float loss = lossOf(outcome);
    const bool inside = inRange && t < inputLengthOf(lattice, item);
    const bool active = inside && loss < INFINITY;   // NaN is not below infinity either
    const uint length = active ? targetLengthOf(lattice, item, p) : 0;
    const Scaled total = unpack(outcome.xy);
    device const int *target = targetOf(lattice, item, p);
    device const int2 *alphas = states + (ulong(local) * p.frames + t) * p.width;
    device const int2 *betas = states + (ulong(p.count + local) * p.frames + t) * p.width;
    if (lane == 0 && place < together) atomic_store_explicit(&labelled[place], 0u, memory_order_relaxed);
    for (uint start = 0; start < p.classes; start += tile) {
      const uint end = min(start + tile, p.classes);
      if (place < together) for (uint c = start + lane; c < end; c += lanes) atomic_store_explicit(&sums[place * tile + c - start], 0u, memory_order_relaxed);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (uint k = lane; k < length; k += lanes) {
        const uint c = uint(target[k]);
        if (start > 0 && (c < start || c >= end)) continue;
        const Scaled alpha = unpack(alphas[k]), beta = unpack(betas[k]);
        const int exponent = min(alpha.exponent + beta.exponent - total.exponent, 1);
        const float posterior = min(alpha.mantissa * beta.mantissa / total.mantissa * power(exponent), 1.5f);
        const uint units = uint(posterior * UNIT + 0.5f);
        // The first pass sees every label, so that the blank's share is known from the start.
        if (start == 0) atomic_fetch_add_explicit(&labelled[place], units, memory_order_relaxed);
        if (c >= start && c < end) atomic_fetch_add_explicit(&sums[place * tile + c - start], units, memory_order_relaxed);
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (inRange) {
        const uint others = atomic_load_explicit(&labelled[place], memory_order_relaxed);
        const float2 norm = active && p.logits != 0 ? norms[row] : float2(0.0f, 0.0f);
        for (uint c = start + lane; c < end; c += lanes) {
          float g = 0.0f;
          if (active) {
            const uint held = c == p.blank ? uint(max(int(UNIT) - int(others), 0)) : atomic_load_explicit(&sums[place * tile + c - start], memory_order_relaxed);
            const float softmax = p.logits != 0 ? exp(scores[at + c] - norm.x) * norm.y : 0.0f;
            g = p.posterior != 0 ? float(held) / UNIT : softmax - float(held) / UNIT;
            if (p.scaled != 0 && g != 0.0f) g *= cotangents[item];
          } else if (inside && isnan(loss)) {
            g = NAN;
          }
          gradient[at + c] = g;
        }
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
  }
}

// x [frames, batch, classes] with every sequence scaled by a number of its own. Zeros stay zeros, whatever the number.
kernel void ctcScale(device const float *x [[buffer(0)]],
                     device const float *scale [[buffer(1)]],
                     device float *out [[buffer(2)]],
                     constant CtcScaleParams &p [[buffer(3)]],
                     uint index [[thread_position_in_grid]],
                     uint threads [[threads_per_grid]]) {
  for (uint i = index; i < p.frames * p.batch * p.classes; i += threads) {
    const float value = x[i];
    out[i] = value == 0.0f ? 0.0f : value * scale[i / p.classes % p.batch];
  }
}
