import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Somebody else on our topic, by Kafka's own client: it compresses, and leaves transactions open, as ours never
 * does. Says in lines what it did; goes on to the end when its input ends.
 */
public class OtherClient {
  static final List<String> CODECS = List.of("gzip", "snappy", "lz4", "zstd");
  static final String BY_HAND = "x-by-hand";

  public static void main(String[] args) throws Exception {
    String bootstrap = args[1];
    String topic = args[2];
    switch (args[0]) {
      case "codecs" -> codecs(bootstrap, topic, Long.parseLong(args[3]));
      case "transaction" -> transaction(bootstrap, topic);
      default -> throw new IllegalArgumentException(args[0]);
    }
  }

  /** The newest messages of sellers up to `last` again, compressed by each codec; then whatever is sent, by the topic. */
  static void codecs(String bootstrap, String topic, long last) throws Exception {
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      String before = ownValue(admin, topic, "compression.type");
      try {
        alter(admin, topic, settingOf("producer"));
        List<ConsumerRecord<byte[], byte[]>> newest = newest(bootstrap, topic, last);
        for (String codec : CODECS) {
          copy(bootstrap, topic, newest, codec);
          say(newest.size() + " messages produced again by " + codec);
        }
        for (String codec : CODECS) {
          alter(admin, topic, settingOf(codec));
          say("the topic compresses by " + codec);
          Thread.sleep(800);
        }
        say("done");
        untilTold();
      } finally {
        alter(admin, topic, settingOf(before));
      }
    }
    say("restored");
  }

  /** Writes a record of no seller to every partition, and aborts once it is told. */
  static void transaction(String bootstrap, String topic) throws Exception {
    Map<String, Object> settings = producer(bootstrap);
    settings.put("transactional.id", "somebody-else");
    settings.put("transaction.timeout.ms", "60000");
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
      producer.initTransactions();
      producer.beginTransaction();
      byte[] text = "somebody else's".getBytes(StandardCharsets.UTF_8);
      for (PartitionInfo partition : producer.partitionsFor(topic)) {
        producer.send(new ProducerRecord<>(topic, partition.partition(), text, text)).get();
      }
      say("open");
      untilTold();
      producer.abortTransaction();
    }
    say("aborted");
  }

  static Map<String, String> settingOf(String codec) {
    Map<String, String> setting = new HashMap<>();
    setting.put("compression.type", codec);
    return setting;
  }

  /** Null where the topic has none of its own. */
  static String ownValue(Admin admin, String topic, String name) throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    ConfigEntry entry = admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name);
    return entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG ? entry.value() : null;
  }

  static void alter(Admin admin, String topic, Map<String, String> changes) throws Exception {
    Collection<AlterConfigOp> operations = new ArrayList<>();
    changes.forEach((name, value) -> operations.add(new AlterConfigOp(
        new ConfigEntry(name, value), value == null ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET)));
    admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, topic), operations)).all().get();
  }

  static List<ConsumerRecord<byte[], byte[]>> newest(String bootstrap, String topic, long last) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("key.deserializer", ByteArrayDeserializer.class);
    settings.put("value.deserializer", ByteArrayDeserializer.class);
    settings.put("isolation.level", "read_committed");
    Map<String, ConsumerRecord<byte[], byte[]>> newest = new LinkedHashMap<>();
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
      List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
          .map(one -> new TopicPartition(topic, one.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (partitions.stream().anyMatch(one -> consumer.position(one) < ends.get(one))) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
          if (record.key() == null || record.headers().lastHeader(BY_HAND) != null) continue;
          newest.put(record.partition() + "/" + new String(record.key(), StandardCharsets.UTF_8), record);
        }
      }
    }
    return newest.values().stream()
        .filter(one -> one.value() != null && one.headers().lastHeader("ce_id") != null)
        .filter(one -> Long.parseLong(new String(one.key(), StandardCharsets.UTF_8)) <= last)
        .toList();
  }

  static void copy(String bootstrap, String topic, List<ConsumerRecord<byte[], byte[]>> records, String codec)
      throws Exception {
    Map<String, Object> settings = producer(bootstrap);
    settings.put("compression.type", codec);
    settings.put("linger.ms", "50");
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
      for (ConsumerRecord<byte[], byte[]> one : records) {
        List<Header> headers = new ArrayList<>(List.of(one.headers().toArray()));
        ProducerRecord<byte[], byte[]> again =
            new ProducerRecord<>(topic, one.partition(), null, one.key(), one.value(), headers);
        again.headers().add(BY_HAND, "1".getBytes(StandardCharsets.UTF_8));
        producer.send(again);
      }
      producer.flush();
    }
  }

  static Map<String, Object> producer(String bootstrap) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("key.serializer", ByteArraySerializer.class);
    settings.put("value.serializer", ByteArraySerializer.class);
    return settings;
  }

  static void untilTold() throws Exception {
    while (System.in.read() >= 0) {}
  }

  static void say(String words) {
    System.out.println(words);
    System.out.flush();
  }
}
