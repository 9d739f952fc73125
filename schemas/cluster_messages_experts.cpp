// What nodes say to each other about experts: what each holds, and what one is to load.
#include "schemas/cluster_codec.hpp"
#include "schemas/cluster_frame.hpp"

namespace troupe::schemas {

namespace {

template <class Builder>
void write_selection(const policy::ExpertSelection& experts, Builder out) {
  const policy::ExpertWords words = policy::words_of(experts);
  out.setWordsPerLayer(words.words_per_layer);
  write_numbers(words.words, out.initWords(count_of(words.words)));
}

template <class Reader>
Result<void> read_words(Reader in, policy::ExpertSelection& experts) {
  policy::ExpertWords words;
  words.words_per_layer = in.getWordsPerLayer();
  TROUPE_TRY_DO(read_numbers(in.getWords(), ClusterLimits::expert_words_max, words.words));
  TROUPE_TRY(experts, policy::selection_of(words));
  return {};
}
template <class Reader>
Result<void> read_selection(Reader in, policy::ExpertSelection& experts) {
  return read_field("words", [&] { return read_words(in, experts); });
}

}  // namespace

void write(const policy::ExpertsView& experts, cluster::ExpertsView::Builder out) {
  out.setModelName(text_of(experts.model_name));
  write(experts.model, out.initModel());
  write_selection(experts.experts, out);
  out.setExpertsTotal(experts.experts_total);
  out.setExpertBytes(experts.expert_bytes);
  out.setLoad(experts.load);
}
Result<void> read(cluster::ExpertsView::Reader in, policy::ExpertsView& experts) {
  TROUPE_TRY_DO(read_field("model_name", [&] { return read_name(in.getModelName(), experts.model_name); }));
  TROUPE_TRY_DO(read_field("model", [&] { return read(in.getModel(), experts.model); }));
  TROUPE_TRY_DO(read_selection(in, experts.experts));
  experts.experts_total = in.getExpertsTotal();
  experts.expert_bytes = in.getExpertBytes();
  experts.load = in.getLoad();
  return {};
}

void write(const ExpertLoad& load, cluster::ExpertLoad::Builder out) {
  write(load.model, out.initModel());
  write_selection(load.experts, out);
}
Result<void> read(cluster::ExpertLoad::Reader in, ExpertLoad& load) {
  TROUPE_TRY_DO(read_field("model", [&] { return read(in.getModel(), load.model); }));
  return read_selection(in, load.experts);
}

void write(const ExpertLoaded& loaded, cluster::ExpertLoaded::Builder out) {
  write(loaded.model, out.initModel());
  write_selection(loaded.experts, out);
}
Result<void> read(cluster::ExpertLoaded::Reader in, ExpertLoaded& loaded) {
  TROUPE_TRY_DO(read_field("model", [&] { return read(in.getModel(), loaded.model); }));
  return read_selection(in, loaded.experts);
}

TROUPE_CLUSTER_CODEC(ExpertLoad, cluster::ExpertLoad);
TROUPE_CLUSTER_CODEC(ExpertLoaded, cluster::ExpertLoaded);

}  // namespace troupe::schemas
