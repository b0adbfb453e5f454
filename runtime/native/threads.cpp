#include "threads.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace br2net {
namespace {

constexpr int kMostThreads = 64;
constexpr int kPartsPerThread = 4;  // so that a thread which was held up does not hold up the others

struct Job {
  Job(int count, int part, const std::function<void(int, int)>& work) : count(count), part(part), work(work) {}

  // Take parts until none is left.
  void help() {
    for (int begin = next.fetch_add(part); begin < count; begin = next.fetch_add(part)) {
      work(begin, std::min(begin + part, count));
    }
  }

  const int count, part;
  const std::function<void(int, int)>& work;
  std::atomic<int> next{0};
  int wanted = 0;   // helpers still to join; guarded by the pool's mutex, as is:
  int helping = 0;  // helpers at work
};

class Pool {
 public:
  void run(Job& job, int helpers) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      start_threads(helpers);
      job.wanted = std::min(helpers, threads_);
      jobs_[jobs_waiting_ < kMostJobs ? jobs_waiting_++ : kMostJobs - 1] = &job;
    }
    work_.notify_all();
    job.help();
    std::unique_lock<std::mutex> lock(mutex_);
    const auto end = std::remove(jobs_, jobs_ + jobs_waiting_, &job);
    jobs_waiting_ = static_cast<int>(end - jobs_);
    done_.wait(lock, [&] { return job.helping == 0; });
  }

 private:
  static constexpr int kMostJobs = 64;

  void start_threads(int wanted) {
    try {
      for (; threads_ < std::min(wanted, kMostThreads); ++threads_) std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {  // no more threads to be had: the work is done with fewer
    }
  }

  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      work_.wait(lock, [&] { return find() != nullptr; });
      Job* job = find();
      --job->wanted;
      ++job->helping;
      lock.unlock();
      job->help();
      lock.lock();
      if (--job->helping == 0) done_.notify_all();
    }
  }

  Job* find() {
    for (int i = 0; i < jobs_waiting_; ++i) {
      if (jobs_[i]->wanted > 0) return jobs_[i];
    }
    return nullptr;
  }

  std::mutex mutex_;
  std::condition_variable work_, done_;
  Job* jobs_[kMostJobs] = {};
  int jobs_waiting_ = 0;
  int threads_ = 0;
};

std::atomic<Pool*> the_pool{nullptr};

// Never destroyed: its threads may still wait in it when the process ends. A forked child has none of them, and makes its own.
Pool& pool() {
  static const int once = pthread_atfork(nullptr, nullptr, [] { the_pool = nullptr; });
  static_cast<void>(once);
  Pool* existing = the_pool.load();
  if (existing) return *existing;
  Pool* mine = new Pool;
  if (the_pool.compare_exchange_strong(existing, mine)) return *mine;
  delete mine;
  return *existing;
}

}  // namespace

void in_parallel(int count, int least, int threads, const std::function<void(int, int)>& work) {
  const int most = std::min({threads, std::max(count / std::max(least, 1), 1), kMostThreads});
  if (most <= 1) {
    work(0, count);
    return;
  }
  const int part = std::max(least / kPartsPerThread, (count + most * kPartsPerThread - 1) / (most * kPartsPerThread));
  Job job(count, std::max(part, 1), work);
  pool().run(job, most - 1);
}

}  // namespace br2net
