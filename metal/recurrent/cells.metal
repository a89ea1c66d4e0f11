// What distinguishes the cells. `arriving` is what the sums of a unit's gates get beside the product, `joined` both; backwards `keep` puts the cotangents
// of the sums where they belong, `kept` finds them again, both as the product gets them. The states before and behind the frame are at the places
// `before` and `after`, those of c `cells` behind them.

// Gates i, f, g, o; states h and c.
struct Lstm {
  enum { STATES = 2 };

  static float4 arriving(Forward b, uint width, uint at, uint j) {
    device const float *x = b.projected + at * 4 * width + j;
    device const float *bias = b.bias + j;
    return float4(x[0], x[width], x[2 * width], x[3 * width]) + float4(bias[0], bias[width], bias[2 * width], bias[3 * width]);
  }

  static float4 joined(float4 product, float4 beside) { return product + beside; }

  static Unit unitOf(float4 sums, float2 before) {
    Unit unit;
    unit.gates = float4(sigmoid(sums.x), sigmoid(sums.y), tanh(sums.z), sigmoid(sums.w));
    const float c = unit.gates.y * before.y + unit.gates.x * unit.gates.z;
    unit.state = float2(unit.gates.w * tanh(c), c);
    return unit;
  }

  static float4 keep(Backward b, uint width, uint at, uint j, float4 sums) {
    device float *out = b.projected + at * 4 * width + j;
    out[0] = sums.x;
    out[width] = sums.y;
    out[2 * width] = sums.z;
    out[3 * width] = sums.w;
    return sums;
  }

  static float4 kept(Backward b, uint width, uint at, uint j) {
    device const float *x = b.projected + at * 4 * width + j;
    return float4(x[0], x[width], x[2 * width], x[3 * width]);
  }

  static Cotangents cotangentsOf(Backward b, uint width, uint at, uint j, uint before, uint after, uint cells, float2 d) {
    device const float *gates = b.gates + at * 4 * width + j;
    const float i = gates[0], f = gates[width], c = gates[2 * width], o = gates[3 * width];
    const float shown = tanh(b.states[cells + after]);
    const float dc = d.y + d.x * o * (1.0f - shown * shown);
    Cotangents back;
    back.sums = float4(dc * c * (i * (1.0f - i)), dc * b.states[cells + before] * (f * (1.0f - f)), dc * i * (1.0f - c * c), d.x * shown * (o * (1.0f - o)));
    back.state = float2(0.0f, dc * f);
    return back;
  }
};

// Gates r, z, n and, as a fourth, the product that r is multiplied with; the state h. The sums are those of r and z, the product's part of n with its bias, and
// the input's part of n.
struct Gru {
  enum { STATES = 1 };

  static float4 arriving(Forward b, uint width, uint at, uint j) {
    device const float *x = b.projected + at * 3 * width + j;
    device const float *bias = b.bias + j;
    return float4(x[0] + bias[0], x[width] + bias[width], bias[2 * width], x[2 * width]);
  }

  static float4 joined(float4 product, float4 beside) { return float4(product.x, product.y, product.z, 0.0f) + beside; }

  static Unit unitOf(float4 sums, float2 before) {
    const float r = sigmoid(sums.x), z = sigmoid(sums.y);
    const float c = tanh(sums.w + r * sums.z);
    Unit unit;
    unit.gates = float4(r, z, c, sums.z);
    unit.state = float2(c + z * (before.x - c), 0.0f);
    return unit;
  }

  static float4 keep(Backward b, uint width, uint at, uint j, float4 sums) {
    device float *out = b.projected + at * 3 * width + j;
    device float *product = b.recurrent + at * 3 * width + j;
    out[0] = product[0] = sums.x;
    out[width] = product[width] = sums.y;
    out[2 * width] = sums.w;
    product[2 * width] = sums.z;
    return float4(sums.x, sums.y, sums.z, 0.0f);
  }

  static float4 kept(Backward b, uint width, uint at, uint j) {
    device const float *x = b.recurrent + at * 3 * width + j;
    return float4(x[0], x[width], x[2 * width], 0.0f);
  }

  static Cotangents cotangentsOf(Backward b, uint width, uint at, uint j, uint before, uint after, uint cells, float2 d) {
    device const float *gates = b.gates + at * 4 * width + j;
    const float r = gates[0], z = gates[width], c = gates[2 * width];
    const float dz = d.x * (b.states[before] - c) * (z * (1.0f - z));
    const float dc = d.x * (1.0f - z) * (1.0f - c * c);
    const float dr = dc * gates[3 * width] * (r * (1.0f - r));
    Cotangents back;
    back.sums = float4(dr, dz, dc * r, dc);
    back.state = float2(d.x * z, 0.0f);
    return back;
  }
};
