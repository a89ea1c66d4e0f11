// The yardstick of `npm run bench -- align`: alignment as textbooks and forced aligners in C++ do it. Float32 scores, one state after the
// other, two bits a state and frame for where its best path came from, four of them a byte, over the states that can be reached and left.
// usage: viterbi SCORES FRAMES CLASSES TARGET LABELS ROUNDS; prints the median of the rounds' processor time in milliseconds, and the score.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <vector>

namespace {

const float kNever = -std::numeric_limits<float>::infinity();

template <class Element>
std::vector<Element> readAll(const char* path, size_t count) {
  std::vector<Element> data(count);
  FILE* file = std::fopen(path, "rb");
  if (file == nullptr || std::fread(data.data(), sizeof(Element), count, file) != count) {
    std::fprintf(stderr, "cannot read %s\n", path);
    std::exit(2);
  }
  std::fclose(file);
  return data;
}

struct Problem {
  std::vector<float> scores;
  std::vector<int32_t> target;
  long frames, classes;
};

float align(const Problem& problem, std::vector<int32_t>& path) {
  const auto& [scores, target, frames, classes] = problem;
  const long labels = static_cast<long>(target.size()), states = 2 * labels + 1, bytes = (states + 3) / 4;
  std::vector<uint8_t> moves(static_cast<size_t>(frames) * bytes, 0);
  // Two states in front that no path is in.
  std::vector<float> first(states + 2, kNever), second(states + 2, kNever);
  float *before = first.data() + 2, *now = second.data() + 2;
  before[0] = scores[0];
  if (labels > 0) before[1] = scores[target[0]];
  for (long t = 1; t < frames; t++) {
    const float* row = &scores[t * classes];
    uint8_t* into = &moves[static_cast<size_t>(t) * bytes];
    const long begin = std::max(0L, states - 2 * (frames - t)), end = std::min(states, 2 * t + 2);
    for (long s = std::max(0L, 2 * t); s < end; s++) before[s] = kNever;
    for (long s = begin; s < end; s++) {
      const bool onLabel = (s & 1) != 0;
      const long i = s >> 1;
      float best = before[s];
      int move = 0;
      if (before[s - 1] > best) best = before[s - 1], move = 1;
      if (onLabel && i > 0 && target[i] != target[i - 1] && before[s - 2] > best) best = before[s - 2], move = 2;
      now[s] = best + row[onLabel ? target[i] : 0];
      into[s >> 2] |= static_cast<uint8_t>(move << (2 * (s & 3)));
    }
    for (long s = std::max(0L, begin - 2); s < begin; s++) now[s] = kNever;
    std::swap(before, now);
  }
  long s = labels > 0 && before[states - 2] > before[states - 1] ? states - 2 : states - 1;
  const float score = before[s];
  for (long t = frames - 1; t >= 0; t--) {
    path[t] = static_cast<int32_t>(s);
    s -= moves[static_cast<size_t>(t) * bytes + (s >> 2)] >> (2 * (s & 3)) & 3;
  }
  return score;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  Problem problem;
  problem.frames = std::atol(argv[2]);
  problem.classes = std::atol(argv[3]);
  problem.scores = readAll<float>(argv[1], problem.frames * problem.classes);
  problem.target = readAll<int32_t>(argv[4], std::atol(argv[5]));
  std::vector<int32_t> path(problem.frames);
  std::vector<double> times;
  float score = 0;
  for (int round = 0; round < std::atoi(argv[6]); round++) {
    const clock_t start = clock();
    score = align(problem, path);
    times.push_back(1e3 * static_cast<double>(clock() - start) / CLOCKS_PER_SEC);
  }
  std::sort(times.begin(), times.end());
  std::printf("%.6f %.9g\n", times[times.size() / 2], score);
}
