import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends compressed batches as any Java client does: bootstrap address, topic, compression, number of messages. */
public class CompressingProducer {
  public static void main(String[] args) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", args[0]);
    properties.put("compression.type", args[2]);
    properties.put("linger.ms", "200");
    properties.put("batch.size", "200000");
    try (var producer = new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
      int count = Integer.parseInt(args[3]);
      for (int i = 0; i < count; i++) {
        producer.send(new ProducerRecord<>(args[1], String.valueOf(i), i + " " + "Northwind Traders ".repeat(5)));
      }
    }
  }
}
